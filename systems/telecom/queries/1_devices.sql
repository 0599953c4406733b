-- 1. Devices connected and disconnected
SELECT dispositivo_de_acesso AS device, connected, disconnected
FROM gold.devices_total
ORDER BY device;

-- Per minute
-- The last ten minutes that had an event.
SELECT
  date_format(minute, 'HH:mm') AS minute,
  sum(CASE WHEN dispositivo_de_acesso = 'Celular' THEN connected ELSE 0 END) AS celular_connected,
  sum(CASE WHEN dispositivo_de_acesso = 'Celular' THEN disconnected ELSE 0 END) AS celular_disconnected,
  sum(CASE WHEN dispositivo_de_acesso = 'Computador' THEN connected ELSE 0 END) AS computador_connected,
  sum(CASE WHEN dispositivo_de_acesso = 'Computador' THEN disconnected ELSE 0 END) AS computador_disconnected
FROM gold.devices_per_minute AS m
GROUP BY m.minute
ORDER BY m.minute DESC
LIMIT 10;
