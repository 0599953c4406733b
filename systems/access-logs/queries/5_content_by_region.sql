-- 5. Content most watched in each country
SELECT country, content_type, accesses, share AS share_percent
FROM gold.report_content_by_region
ORDER BY country;
