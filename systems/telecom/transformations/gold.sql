-- Gold: the six answers, each in a table of its own (two for 1 and 4). All refer to the moment in gold.clock.

-- 1. Devices connected and disconnected, per minute and in total, by device type.
CREATE MATERIALIZED VIEW gold.devices_per_minute (
  minute TIMESTAMP COMMENT 'Start of the minute',
  dispositivo_de_acesso STRING COMMENT 'Celular (phone) or Computador (computer)',
  connected BIGINT COMMENT 'Connect events in that minute',
  disconnected BIGINT COMMENT 'Disconnect events in that minute'
)
COMMENT 'Answer 1: devices connected and disconnected, per minute and device type'
TBLPROPERTIES ('delta.enableChangeDataFeed' = 'true')
AS
SELECT
  date_trunc('MINUTE', hora_conexao) AS minute,
  dispositivo_de_acesso,
  count_if(status_conexao = 'Conectado') AS connected,
  count_if(status_conexao = 'Desconectado') AS disconnected
FROM events_so_far
GROUP BY date_trunc('MINUTE', hora_conexao), dispositivo_de_acesso;

CREATE MATERIALIZED VIEW gold.devices_total (
  dispositivo_de_acesso STRING COMMENT 'Celular (phone) or Computador (computer)',
  connected BIGINT COMMENT 'Connect events so far',
  disconnected BIGINT COMMENT 'Disconnect events so far'
)
COMMENT 'Answer 1: devices connected and disconnected in total, by device type'
TBLPROPERTIES ('delta.enableChangeDataFeed' = 'true')
AS
SELECT
  dispositivo_de_acesso,
  sum(connected) AS connected,
  sum(disconnected) AS disconnected
FROM gold.devices_per_minute
GROUP BY dispositivo_de_acesso;

-- 2. Devices that connected in the last ten minutes.
CREATE MATERIALIZED VIEW gold.recently_connected (
  nome STRING COMMENT 'Customer name',
  endereco STRING COMMENT 'Customer address',
  ip STRING COMMENT 'IPv4 address of the device',
  dispositivo_de_acesso STRING COMMENT 'Celular (phone) or Computador (computer)',
  last_connected_at TIMESTAMP COMMENT 'Its last connect event',
  connections BIGINT COMMENT 'Connect events in the last ten minutes'
)
COMMENT 'Answer 2: devices that connected in the ten minutes up to the clock'
TBLPROPERTIES ('delta.enableChangeDataFeed' = 'true', 'pipelines.trigger.interval' = '5 seconds')
AS
SELECT
  e.nome,
  e.endereco,
  e.ip,
  e.dispositivo_de_acesso,
  max(e.hora_conexao) AS last_connected_at,
  count(*) AS connections
FROM silver.events AS e
CROSS JOIN gold.clock AS c
WHERE e.status_conexao = 'Conectado'
  AND e.hora_conexao > c.as_of - INTERVAL 10 MINUTES
  AND e.hora_conexao <= c.as_of
GROUP BY e.nome, e.endereco, e.ip, e.dispositivo_de_acesso;

-- 3. Bandwidth in use now, by server and in total.
CREATE MATERIALIZED VIEW gold.bandwidth_in_use (
  server STRING COMMENT 'Name of the server, unknown for addresses of no server, or TOTAL',
  open_connections BIGINT COMMENT 'Connections open now',
  bandwidth_mbps BIGINT COMMENT 'Sum of their speeds in Mbit/s'
)
COMMENT 'Answer 3: bandwidth in use now, by server and in total'
TBLPROPERTIES ('delta.enableChangeDataFeed' = 'true')
AS
SELECT coalesce(server, 'unknown') AS server, count(*) AS open_connections, sum(velocidade_de_conexao) AS bandwidth_mbps
FROM open_connections
GROUP BY coalesce(server, 'unknown')
UNION ALL
SELECT 'TOTAL', count(*), coalesce(sum(velocidade_de_conexao), 0)
FROM open_connections;

-- 4. High-connection customers. A customer is a name and an address; its use is the sum of the speeds of its open
-- connections.
CREATE MATERIALIZED VIEW gold.high_connection_rate (
  connected_customers BIGINT COMMENT 'Customers with an open connection',
  high_customers BIGINT COMMENT 'Those with an open connection of at least 400 Mbit/s',
  rate DOUBLE COMMENT 'Their share, 0 to 1; null if nobody is connected'
)
COMMENT 'Answer 4: share of the connected customers who have at least 400 Mbit/s'
TBLPROPERTIES ('delta.enableChangeDataFeed' = 'true')
AS
WITH customers AS (
  SELECT max(velocidade_de_conexao) AS fastest_mbps
  FROM open_connections
  GROUP BY nome, endereco
)
SELECT
  count(*) AS connected_customers,
  count_if(fastest_mbps >= 400) AS high_customers,
  CAST(count_if(fastest_mbps >= 400) AS DOUBLE) / nullif(count(*), 0) AS rate
FROM customers;

-- Fair use: a customer's use is far above the rest when it is more than the median use and five times the median
-- absolute deviation from it (at least 1 Mbit/s). Unlike mean and standard deviation, neither moves for the very
-- customers that the rule looks for.
CREATE MATERIALIZED VIEW gold.heavy_customers (
  nome STRING COMMENT 'Customer name',
  endereco STRING COMMENT 'Customer address',
  open_connections BIGINT COMMENT 'Connections open now',
  bandwidth_mbps BIGINT COMMENT 'Sum of their speeds in Mbit/s: the use',
  median_mbps DOUBLE COMMENT 'Median use of the connected customers',
  mad_mbps DOUBLE COMMENT 'Median absolute deviation of their use',
  limit_mbps DOUBLE COMMENT 'Fair use: the median and five deviations'
)
COMMENT 'Answer 4: customers whose use is far above the rest'
TBLPROPERTIES ('delta.enableChangeDataFeed' = 'true')
AS
WITH customers AS (
  SELECT nome, endereco, count(*) AS open_connections, sum(velocidade_de_conexao) AS bandwidth_mbps
  FROM open_connections
  GROUP BY nome, endereco
),
middle AS (
  SELECT median(bandwidth_mbps) AS median_mbps FROM customers
),
spread AS (
  SELECT m.median_mbps, median(abs(u.bandwidth_mbps - m.median_mbps)) AS mad_mbps
  FROM customers AS u
  CROSS JOIN middle AS m
  GROUP BY m.median_mbps
),
fair_use AS (
  SELECT median_mbps, mad_mbps, median_mbps + 5 * greatest(mad_mbps, 1) AS limit_mbps FROM spread
)
SELECT u.nome, u.endereco, u.open_connections, u.bandwidth_mbps, f.median_mbps, f.mad_mbps, f.limit_mbps
FROM customers AS u
CROSS JOIN fair_use AS f
WHERE u.bandwidth_mbps > f.limit_mbps;

-- 5. Bandwidth by device type, side by side.
CREATE MATERIALIZED VIEW gold.bandwidth_by_device (
  server STRING COMMENT 'Name of the server, unknown for addresses of no server, or TOTAL',
  celular_connections BIGINT COMMENT 'Open connections of phones',
  computador_connections BIGINT COMMENT 'Open connections of computers',
  celular_mbps BIGINT COMMENT 'Bandwidth in use by phones, in Mbit/s',
  computador_mbps BIGINT COMMENT 'Bandwidth in use by computers, in Mbit/s'
)
COMMENT 'Answer 5: bandwidth in use by device type, side by side, by server and in total'
TBLPROPERTIES ('delta.enableChangeDataFeed' = 'true')
AS
WITH placed AS (
  SELECT coalesce(server, 'unknown') AS server, dispositivo_de_acesso, velocidade_de_conexao FROM open_connections
  UNION ALL
  SELECT 'TOTAL', dispositivo_de_acesso, velocidade_de_conexao FROM open_connections
)
SELECT
  server,
  count_if(dispositivo_de_acesso = 'Celular') AS celular_connections,
  count_if(dispositivo_de_acesso = 'Computador') AS computador_connections,
  sum(CASE WHEN dispositivo_de_acesso = 'Celular' THEN velocidade_de_conexao ELSE 0 END) AS celular_mbps,
  sum(CASE WHEN dispositivo_de_acesso = 'Computador' THEN velocidade_de_conexao ELSE 0 END) AS computador_mbps
FROM placed
GROUP BY server;

-- 6. Servers close to (80 %) or over capacity, in bandwidth or in devices.
CREATE MATERIALIZED VIEW gold.servers_to_upgrade (
  server STRING COMMENT 'Name of the server',
  place STRING COMMENT 'Where it stands',
  situation STRING COMMENT 'over capacity, or close to capacity',
  bandwidth_mbps BIGINT COMMENT 'Bandwidth in use now, in Mbit/s',
  capacity_mbps INT COMMENT 'Bandwidth it can carry, in Mbit/s',
  bandwidth_used DOUBLE COMMENT 'Share of the bandwidth in use; 1 is all of it',
  devices BIGINT COMMENT 'Devices connected now',
  capacity_devices INT COMMENT 'Devices it can hold',
  devices_used DOUBLE COMMENT 'Share of the devices it can hold; 1 is all of them'
)
COMMENT 'Answer 6: servers close to or over capacity, candidates for an upgrade'
TBLPROPERTIES ('delta.enableChangeDataFeed' = 'true')
AS
WITH load AS (
  SELECT
    server,
    sum(velocidade_de_conexao) AS bandwidth_mbps,
    count(DISTINCT nome, endereco, ip, dispositivo_de_acesso) AS devices
  FROM open_connections
  WHERE server IS NOT NULL
  GROUP BY server
),
used AS (
  SELECT
    s.server,
    s.place,
    l.bandwidth_mbps,
    s.capacity_mbps,
    CAST(l.bandwidth_mbps AS DOUBLE) / s.capacity_mbps AS bandwidth_used,
    l.devices,
    s.capacity_devices,
    CAST(l.devices AS DOUBLE) / s.capacity_devices AS devices_used
  FROM load AS l
  INNER JOIN silver.servers AS s ON l.server = s.server
)
SELECT
  server,
  place,
  CASE WHEN greatest(bandwidth_used, devices_used) >= 1 THEN 'over capacity' ELSE 'close to capacity' END AS situation,
  bandwidth_mbps,
  capacity_mbps,
  bandwidth_used,
  devices,
  capacity_devices,
  devices_used
FROM used
WHERE greatest(bandwidth_used, devices_used) >= 0.8;
