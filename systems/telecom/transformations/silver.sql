-- Silver, third step: connections from their beginning to their end.

-- A connection is open from a connect event until the next disconnect event of the same customer (name and address),
-- IPv4 address and device type. A disconnect at the very moment of a connect belongs to what was open before.
CREATE MATERIALIZED VIEW silver.connections (
  nome STRING COMMENT 'Customer name',
  endereco STRING COMMENT 'Customer address',
  ip STRING COMMENT 'IPv4 address of the device',
  dispositivo_de_acesso STRING COMMENT 'Celular (phone) or Computador (computer)',
  velocidade_de_conexao INT COMMENT 'Speed of the connection in Mbit/s',
  server STRING COMMENT 'Server that the address belongs to; null for an address of no server',
  connected_at TIMESTAMP COMMENT 'When the connection was opened',
  disconnected_at TIMESTAMP COMMENT 'When it was closed; null if no disconnect has been seen'
)
COMMENT 'Connections from the event that opened them to the event that closed them'
TBLPROPERTIES ('delta.enableChangeDataFeed' = 'true', 'pipelines.trigger.interval' = '5 seconds')
AS
WITH paired AS (
  SELECT
    *,
    min(CASE WHEN status_conexao = 'Desconectado' THEN hora_conexao END) OVER (
      PARTITION BY nome, endereco, ip, dispositivo_de_acesso
      ORDER BY hora_conexao, status_conexao DESC
      ROWS BETWEEN 1 FOLLOWING AND UNBOUNDED FOLLOWING
    ) AS next_disconnect
  FROM silver.events
)
SELECT
  nome,
  endereco,
  ip,
  dispositivo_de_acesso,
  velocidade_de_conexao,
  server,
  hora_conexao AS connected_at,
  next_disconnect AS disconnected_at
FROM paired
WHERE status_conexao = 'Conectado';
