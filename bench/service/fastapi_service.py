"""The obvious Python service: FastAPI over sentence-transformers, one model, float32, OpenAI's response format.

usage: fastapi_service.py PORT MODEL-FOLDER THREADS
"""

import base64
import sys

import torch
import uvicorn
from fastapi import FastAPI
from pydantic import BaseModel
from sentence_transformers import SentenceTransformer

port, folder, threads = int(sys.argv[1]), sys.argv[2], int(sys.argv[3])
torch.set_num_threads(threads)
model = SentenceTransformer(folder, device="cpu")
app = FastAPI()


class Request(BaseModel):
    input: str | list[str]
    encoding_format: str = "float"


@app.post("/v1/embeddings")
def embeddings(request: Request):
    texts = [request.input] if isinstance(request.input, str) else request.input
    vectors = model.encode(texts, normalize_embeddings=True, show_progress_bar=False)
    rows = [base64.b64encode(v.tobytes()).decode() if request.encoding_format == "base64" else v.tolist() for v in vectors]
    return {"object": "list", "model": "m", "data": [{"object": "embedding", "index": i, "embedding": row} for i, row in enumerate(rows)]}


uvicorn.run(app, host="127.0.0.1", port=port, log_level="warning", access_log=False)
