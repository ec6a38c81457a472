"""A captioner: a frozen image feature and an alt-text in, a caption that fits both out.

    image ─► frozen CLIP ─► feature ─► mapper ─► 40 vectors ─┐
    alt-text, dropped half of the time ─► ≤ 128 tokens ──────┴─► language model ─► caption

`texts` says which text of a pair is prompt and which is target, `sequences` makes tokens of them,
`model` has the mapper and the loss, `trainer` takes the steps of the trainer's loop, `folder`
writes and reads the parts of a run, `generate` writes captions. Language models are those of
transformers.

Source: Xu et al. 2024, arXiv:2410.17251; the mapper: Mokady et al. 2021, arXiv:2111.09734.
"""
