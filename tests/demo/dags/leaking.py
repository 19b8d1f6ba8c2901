"""Leaks on purpose, into each place that Airflow has; what it leaks comes from the environment."""

from __future__ import annotations

import asyncio
import base64
import json
import logging
import os
from datetime import datetime, timedelta

from airflow.providers.common.compat.sdk import BaseOperator, Variable, dag, task
from airflow.triggers.base import BaseTrigger, TriggerEvent

SECRETS = json.loads(os.environ["LEAKS"])


class LeakingTrigger(BaseTrigger):
    def __init__(self, value):
        super().__init__()
        self.value = value

    def serialize(self):
        return "leaking.LeakingTrigger", {"value": self.value}

    async def run(self):
        await asyncio.sleep(3)
        yield TriggerEvent({"token": SECRETS["event"]})


class LeakingOperator(BaseOperator):
    template_fields = ("field",)

    def __init__(self, *, field, **kwargs):
        super().__init__(**kwargs)
        self.field = field

    def execute(self, context):
        trigger = LeakingTrigger(SECRETS["trigger kwargs"])
        self.defer(trigger=trigger, method_name="resume", kwargs={"kept": SECRETS["defer kwargs"]})

    def resume(self, context, event=None, kept=None):
        pass


@dag(schedule=None, start_date=datetime(2025, 1, 1), catchup=False)
def leaking():
    @task(retries=1, retry_delay=timedelta(seconds=1))
    def xcom(ti=None):
        if ti.try_number == 1:
            ti.xcom_push("token", SECRETS["xcom"])
            raise RuntimeError("the retry clears it")

    @task
    def variable():
        Variable.set("harmless", SECRETS["variable"])

    @task
    def log():
        pair = base64.b64encode(f"id:{SECRETS['task log']}".encode()).decode()
        logging.getLogger(__name__).info("Authorization: Basic %s", pair)

    @task
    def output():
        os.write(2, SECRETS["process output"].encode() + b"\n")

    [xcom(), variable(), log(), output()] >> LeakingOperator(task_id="defer", field=SECRETS["rendered field"])


leaking()
