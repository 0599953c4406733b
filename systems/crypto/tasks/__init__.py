"""The four steps of a run: what an Airflow task, riacho's schedule or a test calls.

extract_data    collector    CoinGecko → records
send_to_kafka   producer     records → Kafka, or the embedded queue
transform_data  processing   the pipeline: bronze, silver, gold
load_data       store        gold → MongoDB
"""
