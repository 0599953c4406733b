-- What landed
-- Bronze keeps every row; silver judges each once. Valid and quarantined together are what landed.
SELECT
  date_format(c.as_of, 'yyyy-MM-dd HH:mm:ss') AS as_of,
  b.events AS landed,
  v.events AS valid,
  e.events AS without_duplicates,
  q.events AS quarantined
FROM gold.clock AS c
CROSS JOIN (
  SELECT count(*) AS events
  FROM (
    SELECT source FROM bronze.celular_conectado
    UNION ALL
    SELECT source FROM bronze.celular_desconectado
    UNION ALL
    SELECT source FROM bronze.computador_conectado
    UNION ALL
    SELECT source FROM bronze.computador_desconectado
  )
) AS b
CROSS JOIN (SELECT count(*) AS events FROM silver.valid_events) AS v
CROSS JOIN (SELECT count(*) AS events FROM silver.events) AS e
CROSS JOIN (SELECT count(*) AS events FROM silver.valid_events_quarantine) AS q;

-- Quarantine
-- By rule; an event that breaks several is counted for each. `riacho quarantine` shows the events and replays them.
SELECT broken_rule, count(*) AS events
FROM (SELECT explode(_quarantine.rules) AS broken_rule FROM silver.valid_events_quarantine)
GROUP BY broken_rule
ORDER BY events DESC, broken_rule;
