"""Asks the service with the official Python clients; prints their vectors as one JSON object.

usage: clients.py URL KEY TEXTS-AS-JSON
"""

import json
import sys

from huggingface_hub import InferenceClient
from langchain_openai import OpenAIEmbeddings
from openai import OpenAI, AuthenticationError, BadRequestError, RateLimitError

url, key, texts = sys.argv[1], sys.argv[2], json.loads(sys.argv[3])
found = {}

client = OpenAI(base_url=f"{url}/v1", api_key=key, max_retries=0)
answer = client.embeddings.create(model="text-embedding-3-small", input=texts)
found["openai"] = [item.embedding for item in answer.data]
found["openai_float"] = [item.embedding for item in client.embeddings.create(model="m", input=texts, encoding_format="float").data]
found["usage"] = answer.usage.prompt_tokens
found["dimensions"] = len(client.embeddings.create(model="m", input="one", dimensions=16).data[0].embedding)

errors = []
for wrong in (
    lambda: OpenAI(base_url=f"{url}/v1", api_key="wrong-key-0123456789", max_retries=0).embeddings.create(model="m", input="a"),
    lambda: client.embeddings.create(model="m", input="a", dimensions=100000),
):
    try:
        wrong()
    except (AuthenticationError, BadRequestError, RateLimitError) as error:
        errors.append([type(error).__name__, error.code])
found["errors"] = errors

langchain = OpenAIEmbeddings(base_url=f"{url}/v1", api_key=key, model="m", check_embedding_ctx_length=False)
found["langchain"] = langchain.embed_documents(texts)

tei = InferenceClient(model=f"{url}/embed", token=key)
found["tei"] = [tei.feature_extraction(text, truncate=True)[0].tolist() for text in texts]
root = InferenceClient(model=url, token=key)
found["root"] = [root.feature_extraction(text, truncate=True, truncation_direction="right")[0].tolist() for text in texts]
found["models"] = [model.id for model in client.models.list()] + [client.models.retrieve("all-MiniLM-L6-v2").id]
print(json.dumps(found))
