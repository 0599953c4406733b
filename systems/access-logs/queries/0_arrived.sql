-- What arrived
-- Bronze keeps every event. Silver sets bad ones aside and leaves out those that were sent twice or come too late.
SELECT
  b.events AS arrived,
  q.events AS set_aside,
  b.events - q.events - s.events AS repeated_or_late,
  s.events AS accesses
FROM (SELECT count(*) AS events FROM bronze.accesses) AS b
CROSS JOIN (SELECT count(*) AS events FROM silver.valid_accesses_quarantine) AS q
CROSS JOIN (SELECT count(*) AS events FROM silver.accesses) AS s;

-- Why events were set aside
SELECT r.rule, count(*) AS events
FROM silver.valid_accesses_quarantine
LATERAL VIEW explode(_quarantine.rules) r AS rule
GROUP BY r.rule
ORDER BY events DESC, r.rule;
