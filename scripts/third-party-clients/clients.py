"""The clients for Python. Runs one of them and prints what it got as JSON.

usage: clients.py CLIENT SERVICE-URL PROXY-URL RANKING      (a request to /rerank as JSON)
"""

import json
import sys
from importlib.metadata import version

NAME, SERVICE, PROXY = sys.argv[1:4]
QUERY, TEXTS = (json.loads(sys.argv[4])[key] for key in ("query", "texts"))
MODEL = "parrot"
KEY = "not-needed-here"


def question(kind):
    """Each chat has its own words, so that each is an exchange of its own."""
    return f"{NAME} for Python, {kind}: when do you open?"


def user(kind):
    return [{"role": "user", "content": question(kind)}]


def run_openai():
    from openai import OpenAI

    chat = OpenAI(base_url=f"{PROXY}/v1", api_key=KEY, max_retries=0).chat.completions
    client = OpenAI(base_url=f"{SERVICE}/v1", api_key=KEY, max_retries=0)
    stream = chat.create(model=MODEL, messages=user("streamed"), stream=True)
    first = client.models.list().data[0].id
    return {
        "whole": chat.create(model=MODEL, messages=user("whole")).choices[0].message.content,
        "streamed": "".join(part.choices[0].delta.content or "" for part in stream if part.choices),
        "vector": client.embeddings.create(model="text-embedding-3-small", input="hello").data[0].embedding,
        "model": client.models.retrieve(first).id,
    }


def run_langchain():
    from langchain_openai import ChatOpenAI, OpenAIEmbeddings

    chat = ChatOpenAI(model=MODEL, base_url=f"{PROXY}/v1", api_key=KEY, max_retries=0)
    embeddings = OpenAIEmbeddings(base_url=f"{SERVICE}/v1", api_key=KEY, model="m", check_embedding_ctx_length=False)
    return {
        "whole": chat.invoke(question("whole")).content,
        "streamed": "".join(part.content for part in chat.stream(question("streamed"))),
        "vector": embeddings.embed_query("hello"),
    }


def run_llamaindex():
    from llama_index.core.llms import ChatMessage
    from llama_index.core.schema import NodeWithScore, QueryBundle, TextNode
    from llama_index.embeddings.openai_like import OpenAILikeEmbedding
    from llama_index.llms.openai_like import OpenAILike
    from llama_index.postprocessor.tei_rerank import TextEmbeddingInference

    chat = OpenAILike(model=MODEL, api_base=f"{PROXY}/v1", api_key=KEY, is_chat_model=True, max_retries=0)
    embedding = OpenAILikeEmbedding(model_name="m", api_base=f"{SERVICE}/v1", api_key=KEY)
    nodes = [NodeWithScore(node=TextNode(text=text)) for text in TEXTS]
    ranked = TextEmbeddingInference(base_url=SERVICE).postprocess_nodes(nodes, QueryBundle(QUERY))
    whole, streamed = ([ChatMessage(role="user", content=question(kind))] for kind in ("whole", "streamed"))
    return {
        "whole": chat.chat(whole).message.content,
        "streamed": "".join(part.delta or "" for part in chat.stream_chat(streamed)),
        "vector": embedding.get_text_embedding("hello"),
        "ranks": [{"index": TEXTS.index(node.node.text), "score": node.score} for node in ranked],
    }


def run_litellm():
    import litellm

    litellm.telemetry = False
    about = {"model": f"openai/{MODEL}", "api_base": f"{PROXY}/v1", "api_key": KEY}
    stream = litellm.completion(messages=user("streamed"), stream=True, **about)
    embedding = litellm.embedding(model="openai/m", input=["hello"], api_base=f"{SERVICE}/v1", api_key=KEY)
    ranked = litellm.rerank(model="huggingface/m", query=QUERY, documents=TEXTS, api_base=SERVICE, api_key=KEY)
    return {
        "whole": litellm.completion(messages=user("whole"), **about).choices[0].message.content,
        "streamed": "".join(part.choices[0].delta.content or "" for part in stream),
        "vector": embedding.data[0]["embedding"],
        "ranks": [{"index": rank["index"], "score": rank["relevance_score"]} for rank in ranked.results],
    }


def run_huggingface_hub():
    from huggingface_hub import InferenceClient

    chat = InferenceClient(base_url=f"{PROXY}/v1", api_key=KEY)
    stream = chat.chat_completion(user("streamed"), model=MODEL, stream=True)
    client = InferenceClient(model=SERVICE, token=KEY)
    similarities = client.sentence_similarity("hello", other_sentences=["hello", "a quarterly report"])
    assert similarities[0] > 0.99 and similarities[1] < 0.5, similarities
    return {
        "whole": chat.chat_completion(user("whole"), model=MODEL).choices[0].message.content,
        "streamed": "".join(part.choices[0].delta.content or "" for part in stream),
        "vector": client.feature_extraction("hello", truncate=True, truncation_direction="right")[0].tolist(),
    }


def run_anthropic():
    from anthropic import Anthropic

    messages = Anthropic(base_url=PROXY, api_key=KEY, max_retries=0).messages
    about = {"model": MODEL, "max_tokens": 100}
    with messages.stream(messages=user("streamed"), **about) as stream:
        streamed = "".join(stream.text_stream)
    return {"whole": messages.create(messages=user("whole"), **about).content[0].text, "streamed": streamed}


def run_ollama():
    from ollama import Client

    client = Client(host=PROXY)
    stream = client.chat(model=MODEL, messages=user("streamed"), stream=True)
    return {
        "whole": client.chat(model=MODEL, messages=user("whole")).message.content,
        "streamed": "".join(part.message.content for part in stream),
    }


CLIENTS = {
    "openai": ("openai", run_openai),
    "langchain": ("langchain-openai", run_langchain),
    "llamaindex": ("llama-index-llms-openai-like", run_llamaindex),
    "litellm": ("litellm", run_litellm),
    "huggingface_hub": ("huggingface_hub", run_huggingface_hub),
    "anthropic": ("anthropic", run_anthropic),
    "ollama": ("ollama", run_ollama),
}
package, run = CLIENTS[NAME]
print(json.dumps({"package": package, "version": version(package), **run()}))
