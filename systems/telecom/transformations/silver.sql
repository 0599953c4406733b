-- Silver, the half that looks at tables as a whole: each event with its server, and connections from their beginning
-- to their end.

CREATE MATERIALIZED VIEW silver.events (
  nome STRING COMMENT 'Customer name',
  endereco STRING COMMENT 'Customer address',
  ip STRING COMMENT 'IPv4 address of the device',
  hora_conexao TIMESTAMP COMMENT 'When the event happened',
  dispositivo_de_acesso STRING COMMENT 'Celular (phone) or Computador (computer)',
  velocidade_de_conexao INT COMMENT 'Speed of the connection in Mbit/s',
  status_conexao STRING COMMENT 'Conectado (connected) or Desconectado (disconnected)',
  server STRING COMMENT 'Server that the address belongs to; null for an address of no server',
  source STRING COMMENT 'Device type and status, as the landing folder names them',
  rastreamento_source STRING COMMENT 'Path of the file that the row came from',
  data_arquivo_ingestao TIMESTAMP COMMENT 'When the file was last written'
)
COMMENT 'Valid events, each once, with the server of their address'
TBLPROPERTIES ('delta.enableChangeDataFeed' = 'true')
AS
WITH addressed AS (
  SELECT
    *,
    CAST(split_part(ip, '.', 1) AS BIGINT) * 16777216
      + CAST(split_part(ip, '.', 2) AS BIGINT) * 65536
      + CAST(split_part(ip, '.', 3) AS BIGINT) * 256
      + CAST(split_part(ip, '.', 4) AS BIGINT) AS address
  FROM silver.unique_events
)
SELECT
  e.nome,
  e.endereco,
  e.ip,
  e.hora_conexao,
  e.dispositivo_de_acesso,
  e.velocidade_de_conexao,
  e.status_conexao,
  s.server,
  e.source,
  e.rastreamento_source,
  e.data_arquivo_ingestao
FROM addressed AS e
LEFT JOIN silver.servers AS s ON e.address BETWEEN s.first_address AND s.last_address;

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
TBLPROPERTIES ('delta.enableChangeDataFeed' = 'true')
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
