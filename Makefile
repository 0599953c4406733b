# riacho: everything a developer runs. `make` alone lists it. Needs make and Python 3.11 or newer, nothing else.

SHELL := /bin/sh
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory
# Every recipe runs here, wherever make was called from.
ROOT := $(patsubst %/,%,$(dir $(abspath $(lastword $(MAKEFILE_LIST)))))
VENV := $(ROOT)/.venv
PYTHON := $(VENV)/bin/python
ORACLE := $(ROOT)/.oracle
# What the oracle has besides Spark: Delta Lake, the release that was built for Spark 4.2, and the newest releases of
# Spark's own modules for Kafka and Avro.
DELTA := io.delta:delta-spark_4.2_2.13:4.4.0
SPARK_MODULES := org.apache.spark:spark-sql-kafka-0-10_2.13:4.2.0 org.apache.spark:spark-avro_2.13:4.2.0
# The connectors that riacho's are held against: JDBC drivers and MongoDB's own.
DRIVERS := org.postgresql:postgresql:42.7.14 org.xerial:sqlite-jdbc:3.54.1.0
DRIVERS += org.mongodb.spark:mongo-spark-connector_2.13:10.5.0
# The broker that tests/connectors run against.
KAFKA_PACKAGES := org.apache.kafka:kafka_2.13:4.4.0 org.apache.logging.log4j:log4j-slf4j-impl:2.25.5
# The schema registry, likewise.
REGISTRY_PACKAGE := io.apicurio:apicurio-registry-app:3.3.3

IN_ROOT := cd "$(ROOT)" &&
PIP := $(PYTHON) -m pip install --quiet --disable-pip-version-check
# What `make setup` installs besides riacho itself.
EXTRAS := $(foreach extra,generate kafka avro registry mongodb jdbc postgres rest faker ingest s3,--extra $(extra))
# How the lock files are made: hashes for every platform and Python, and no host is named.
LOCK := uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header --no-annotate

.PHONY: help setup demo test check format unit engine spec spec-all record differential bench oracle services lock clean

help: ## list what make can do
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' "$(ROOT)/Makefile"

setup: $(VENV)/.run ## install riacho and what it needs to run, in .venv
	@echo "riacho is ready: $(VENV)/bin/riacho --help"

SYSTEM ?= telecom
demo: $(VENV)/.run ## run a system end to end and print its answers: SYSTEM (telecom)
	@$(IN_ROOT) $(PYTHON) -m riacho demo $(SYSTEM)

test: $(VENV)/.dev oracle services ## all checks and all tests, against riacho and against Apache Spark
	@$(IN_ROOT) $(MAKE) check
	@$(IN_ROOT) $(PYTHON) -m pytest --maxfail=15

check: $(VENV)/.dev ## lint, format and types
	@$(IN_ROOT) $(VENV)/bin/ruff check .
	@$(IN_ROOT) $(VENV)/bin/ruff format --check .
	@$(IN_ROOT) $(VENV)/bin/mypy
	@$(IN_ROOT) $(PYTHON) -m scripts.system_types

format: $(VENV)/.dev ## lay the code out as `make check` wants it
	@$(IN_ROOT) $(VENV)/bin/ruff check --fix --quiet . ; $(VENV)/bin/ruff format .

unit: $(VENV)/.dev ## the fast tests: no engine, no port
	@$(IN_ROOT) $(PYTHON) -m pytest --hypothesis-profile=quick tests/unit tests/plans

engine: $(VENV)/.dev ## the tests of parts with a real engine
	@$(IN_ROOT) $(PYTHON) -m pytest tests/engine

spec: $(VENV)/.dev oracle ## the tests that run on riacho and on Apache Spark alike; on Spark what it has not answered yet
	@$(IN_ROOT) $(PYTHON) -m pytest tests/spec

spec-all: $(VENV)/.dev oracle services ## the same, and all of it on Apache Spark too
	@$(IN_ROOT) $(PYTHON) -m pytest tests/spec tests/connectors tests/differential --spark-all

record: $(VENV)/.dev oracle services ## ask Apache Spark what it has not answered yet, and keep what it says
	@$(IN_ROOT) $(PYTHON) -m pytest tests/spec tests/connectors tests/differential --record

CASES ?= 2000
differential: $(VENV)/.dev oracle ## all random tests drawn anew; of stateful queries CASES (2000), also on Apache Spark
	@$(IN_ROOT) $(PYTHON) -m pytest --hypothesis-profile=fresh tests/unit tests/plans
	@$(IN_ROOT) RIACHO_DIFFERENTIAL_CASES=$(CASES) $(PYTHON) -m pytest tests/differential

bench: $(VENV)/.dev oracle ## the same jobs on riacho and on Apache Spark, timed
	@$(IN_ROOT) $(PYTHON) -m bench.run
	@$(IN_ROOT) $(PYTHON) -m bench.stateful
	@$(IN_ROOT) $(PYTHON) -m bench.avro

oracle: $(VENV)/.dev ## install Apache Spark in .oracle, and Java if the machine has none
	@$(IN_ROOT) $(PYTHON) -m scripts.oracle $(DELTA) $(SPARK_MODULES) $(DRIVERS)

services: oracle ## install what tests/connectors run against in .services: Kafka, a schema registry and the like
	@$(IN_ROOT) $(PYTHON) -m scripts.services $(KAFKA_PACKAGES)
	@$(IN_ROOT) $(PYTHON) -m scripts.registry $(REGISTRY_PACKAGE)
	@$(IN_ROOT) $(PYTHON) -m scripts.postgres
	@$(IN_ROOT) $(PYTHON) -m scripts.mongo
	@$(IN_ROOT) $(PYTHON) -m scripts.s3
	@$(IN_ROOT) $(PYTHON) -m scripts.airflow

lock: $(VENV)/.dev ## choose the newest versions that pyproject.toml allows and lock them
	@$(PIP) uv
	@$(IN_ROOT) $(VENV)/bin/$(LOCK) --upgrade pyproject.toml requirements/build.in $(EXTRAS) -o requirements/run.txt
	@$(IN_ROOT) $(VENV)/bin/$(LOCK) --upgrade pyproject.toml requirements/build.in $(EXTRAS) --extra dev -c requirements/run.txt -o requirements/dev.txt
	@$(IN_ROOT) $(VENV)/bin/$(LOCK) --upgrade requirements/oracle.in -o requirements/oracle.txt
	@$(IN_ROOT) $(VENV)/bin/$(LOCK) --upgrade requirements/java.in -o requirements/java.txt
	@$(IN_ROOT) $(VENV)/bin/$(LOCK) --upgrade --prerelease=explicit requirements/mongo.in -o requirements/mongo.txt
	@$(IN_ROOT) $(VENV)/bin/$(LOCK) --upgrade requirements/s3.in -o requirements/s3.txt
	@$(IN_ROOT) $(VENV)/bin/$(LOCK) --upgrade requirements/airflow.in -o requirements/airflow.txt

clean: ## remove what tests and builds leave behind; the environments stay
	@$(IN_ROOT) rm -rf .pytest_cache .mypy_cache .ruff_cache .hypothesis build dist spark-warehouse

$(PYTHON):
	@$(IN_ROOT) python=$$(sh scripts/find-python.sh) && echo "setup: $$python -m venv .venv" && "$$python" -m venv .venv

# A stamp is newer than what it was made from, so a second run has nothing to do. The checkout is compiled as pip would
# compile a package: where PYTHONDONTWRITEBYTECODE is set, Python itself does not, and every start would take twice as long.
$(VENV)/.run: $(ROOT)/requirements/run.txt $(ROOT)/pyproject.toml | $(PYTHON)
	@echo "setup: installing riacho in .venv"
	@$(IN_ROOT) $(PIP) --require-hashes -r requirements/run.txt
	@$(IN_ROOT) $(PIP) --no-deps --no-build-isolation -e .
	@$(IN_ROOT) $(PYTHON) -m compileall -q src
	@touch $@

$(VENV)/.dev: $(ROOT)/requirements/dev.txt $(VENV)/.run
	@echo "setup: installing the tools for tests in .venv"
	@$(IN_ROOT) $(PIP) --require-hashes -r requirements/dev.txt
	@touch $@
