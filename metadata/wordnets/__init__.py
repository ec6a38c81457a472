"""WordNets: Princeton's database and Open Multilingual WordNet in, lemmas of a language out."""
