"""The peer that plain endpoints are measured beside: FastAPI as its documentation shows it, with the same answer as our `/healthz`."""

from fastapi import FastAPI
from pydantic import BaseModel


class Health(BaseModel):
    status: str


app = FastAPI()


@app.get("/healthz")
async def healthz() -> Health:
    return Health(status="ok")
