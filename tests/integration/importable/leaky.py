"""Writes a decoy into each place that a secret can reach, to show that the search finds it there."""

from __future__ import annotations

import asyncio
import os

from airflow.providers.common.compat.sdk import BaseOperator, Variable
from airflow.triggers.base import BaseTrigger, TriggerEvent


def decoy(place: str) -> str:
    return f"decoy+for/{place}=Zk3xQ"


class LeakyTrigger(BaseTrigger):
    def __init__(self, harmless_name: str) -> None:
        super().__init__()
        self.harmless_name = harmless_name

    def serialize(self):
        return "leaky.LeakyTrigger", {"harmless_name": self.harmless_name}

    async def run(self):
        os.write(2, decoy("output").encode() + b"\n")
        await asyncio.sleep(5)  # a trigger that fires at once can do so before Airflow has stored the deferral
        yield TriggerEvent(decoy("event"))


class LeakyOperator(BaseOperator):
    template_fields = ("harmless_field",)

    def __init__(self, *, harmless_field: str, **kwargs) -> None:
        super().__init__(**kwargs)
        self.harmless_field = harmless_field

    def execute(self, context):
        self.log.info("logged %s", decoy("log"))
        Variable.set("harmless_variable", decoy("variable"))
        self.defer(
            trigger=LeakyTrigger(decoy("trigger")), method_name="resume", kwargs={"harmless": decoy("next_kwargs")}
        )

    def resume(self, context, event=None, harmless=None):
        return decoy("xcom")
