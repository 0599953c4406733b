"""Rules in a pipeline that keeps running: rows are measured batch by batch, and a FAIL rule ends the update."""

from __future__ import annotations

import pytest

from tests.spec.pipelines.support import Project
from tests.spec.pipelines.test_continuous import Continuous, NewSession

pytestmark = pytest.mark.riacho_only

RULES = """
CREATE STREAMING TABLE silver (
  CONSTRAINT small EXPECT (id < 100) ON VIOLATION QUARANTINE ROW,
  CONSTRAINT odd   EXPECT (id % 2 = 1) ON VIOLATION DROP ROW
) AS SELECT * FROM STREAM bronze;
CREATE STREAMING TABLE bronze AS SELECT * FROM STREAM outside;
CREATE STREAMING TABLE strict (CONSTRAINT known EXPECT (id < 1000) ON VIOLATION FAIL UPDATE) AS
  SELECT * FROM STREAM bronze;
CREATE MATERIALIZED VIEW gold (CONSTRAINT five EXPECT (id <> 5) ON VIOLATION QUARANTINE ROW) AS
  SELECT id FROM silver;
CREATE MATERIALIZED VIEW bad AS SELECT count(*) AS n FROM silver_quarantine;
"""


@pytest.fixture
def continuous(project: Project, new_session: NewSession) -> Continuous:
    project.spark.sql(f"CREATE TABLE {project.database}.outside (id BIGINT) USING delta")
    return Continuous(project, new_session)


def test_rules_in_a_pipeline_that_keeps_running(continuous: Continuous) -> None:
    with continuous.running(RULES) as update:
        continuous.insert(1, 2, 101)
        continuous.has("silver", (1,))
        continuous.has("bad", (1,))
        continuous.insert(5, 102, 103)
        continuous.has("silver", (1,), (5,))
        continuous.has("gold", (1,))
        continuous.has("bad", (3,))
        continuous.has("strict", *((number,) for number in (1, 2, 101, 5, 102, 103)))
        continuous.insert(1001)
        update.ended()
    continuous.has("strict", *((number,) for number in (1, 2, 101, 5, 102, 103)))
    assert update.outcome.of("strict").count("is STARTING.") == 1, "it is not tried again"
    assert "EXPECTATION_VIOLATION" in str(update.outcome.error)
