"""Published models: a name in; files in a local cache, a shape and a tokenizer out.

`registry` knows the names, `cache` fetches files, `resolve` puts a model together from either, from
the Hugging Face Hub or from OpenCLIP's own list.
"""
