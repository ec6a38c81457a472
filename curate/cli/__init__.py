"""The command line: words in; one call of the API, its result as a table or JSON, out.

`build` makes a command of an API function, `output` prints its result, `main` runs it all. An
option is described where the API describes it.
"""
