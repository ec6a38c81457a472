import pytest
from PIL import Image

from curate.errors import InputError
from curate.pipelines.caption.ask import Ask
from curate.pipelines.caption.hub_model import HubModel, describe_hub_model
from curate.pipelines.caption.prompts import Prompts
from curate.pipelines.caption.sampling import Decoding
from tests.pipelines.caption.tiny_vlm import WORDS, write_vlm

PROMPTS = Prompts(with_alt="{alt} in {language}", without_alt="a")
ASKS = [
    Ask(f"pair-{i}", Image.new("RGB", (12, 9 + i), (20 * i, 255 - 20 * i, 7)),
        " ".join(["red dog"] * (i % 5)), "en")
    for i in range(11)
]  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write_vlm(tmp_path_factory.mktemp("vlm"))


def said(folder, asks=ASKS, *, batch_size=4, prompts=PROMPTS, **decoding):
    model = HubModel(folder, prompts, Decoding(max_tokens=9, **decoding), batch_size=batch_size,
                     device="cpu")  # fmt: skip
    return model.answers(asks)


def test_greedy_captions_do_not_depend_on_the_batch(folder):
    alone = [one.text for one in said(folder, batch_size=1)]
    assert alone == [one.text for one in said(folder, batch_size=4)]
    assert alone == [one.text for one in said(folder, list(reversed(ASKS)))][::-1]
    assert len(set(alone)) > 1 and all(set(text.split()) <= set(WORDS) for text in alone)


def test_drawn_captions_are_a_function_of_seed_and_pair(folder):
    first = [one.text for one in said(folder, temperature=1.0, top_p=0.9, seed=1)]
    assert first == [one.text for one in said(folder, temperature=1.0, top_p=0.9, seed=1)]
    alone = said(folder, batch_size=1, temperature=1.0, top_p=0.9, seed=1)
    assert first == [one.text for one in alone]
    assert first != [one.text for one in said(folder, temperature=1.0, top_p=0.9, seed=2)]
    twin = Ask("other", *ASKS[3][1:])
    of_twin, of_first = said(folder, [twin, ASKS[3]], temperature=1.0, seed=1)
    assert of_twin.text != of_first.text


def test_the_alt_text_is_in_the_prompt(folder):
    with_alt = [one.text for one in said(folder)]
    without = [one.text for one in said(folder, [ask._replace(alt="") for ask in ASKS])]
    assert with_alt != without
    assert [a == b for a, b in zip(with_alt, without, strict=True)][0]  # which has none


def test_tokens_are_counted_and_what_is_cut_off(folder):
    for one in said(folder):
        assert one.counts["prompt_tokens"] > 4  # of the image alone
        assert one.counts["completion_tokens"] == 9 or not one.counts["cut_off"]


def test_a_tokenizer_without_padding_pads_with_its_end_and_one_without_both_is_refused(
    tmp_path, folder
):
    model = HubModel(folder, PROMPTS, Decoding(), batch_size=2, device="cpu")
    assert model._tokenizer.pad_token == "</s>" and model._tokenizer.padding_side == "left"
    bare = write_vlm(tmp_path / "bare", end=None)
    with pytest.raises(InputError, match="neither a padding nor an end token"):
        HubModel(bare, PROMPTS, Decoding(), batch_size=2, device="cpu")


def test_what_is_no_model_is_refused(tmp_path):
    (tmp_path / "config.json").write_text('{"model_type": "nothing"}')
    for call in (
        lambda: HubModel(str(tmp_path), PROMPTS, Decoding(), batch_size=1, device="cpu"),
        lambda: describe_hub_model(str(tmp_path), batch_size=1, precision="auto", device="cpu"),
    ):
        with pytest.raises(InputError, match="no model of transformers"):
            call()


def test_a_folder_is_described_by_what_is_in_it_and_not_by_where_it_is(tmp_path, folder):
    import shutil

    other = shutil.copytree(folder, tmp_path / "x" / folder.rpartition("/")[2])
    values = [
        describe_hub_model(str(one), batch_size=1, precision="auto", device="cpu")
        for one in (folder, other)
    ]
    assert values[0] == values[1] and values[0]["precision"] == "float32"
    (other / "generation_config.json").write_text("{}")
    changed = describe_hub_model(str(other), batch_size=1, precision="auto", device="cpu")
    assert changed["weights"] != values[0]["weights"]
