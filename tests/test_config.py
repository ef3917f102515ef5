import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from dartsminus_tf.analysis.settings import SkipAdvantageSettings
from dartsminus_tf.cli.quickstart import QuickstartConfig
from dartsminus_tf.config import SearchConfig, TrainConfig
from dartsminus_tf.foundation.config.typed import dump_config, load_config
from dartsminus_tf.foundation.errors import UsageError
from dartsminus_tf.spaces.families import SPACES
from tests.conftest import ROOT

KINDS = {
    "search": SearchConfig,
    "train": TrainConfig,
    "quickstart": QuickstartConfig,
    "skip": SkipAdvantageSettings,
}


@pytest.mark.parametrize(
    "path",
    [p for p in sorted((ROOT / "configs").glob("*.yaml")) if p.stem.split("_")[0] in KINDS],
    ids=lambda p: p.stem,
)
def test_shipped_configs_are_valid(path):
    kind = KINDS[path.stem.split("_")[0]]
    config = load_config(kind, [str(path)])
    assert path.read_text().startswith("#")
    assert kind.model_validate(config.model_dump()) == config


def test_paper_settings_are_the_defaults_of_the_search():
    config = SearchConfig()
    assert (config.channels, config.layers, config.epochs, config.data.batch_size) == (16, 8, 50, 64)
    assert (config.weights.learning_rate, config.weights.min_learning_rate, config.weights.l2) == (0.025, 0.001, 3e-4)
    assert (config.alpha.learning_rate, config.alpha.beta_1, config.alpha.l2) == (3e-4, 0.5, 1e-3)
    assert config.weights.clip_norm == 5 and config.weights.momentum == 0.9 and not config.weights.nesterov


@pytest.mark.parametrize("space", SPACES)
def test_sizes_are_the_spaces_where_they_are_not_given(space):
    config = load_config(SearchConfig, overrides=[f"space={space}"])
    assert {"channels": config.channels, "layers": config.layers} == SPACES[space].defaults
    assert load_config(SearchConfig, overrides=[f"space={space}", "layers=7"]).layers == 7
    with pytest.raises(UsageError, match="channels"):
        load_config(SearchConfig, overrides=[f"space={space}", "channels=null"])


@pytest.mark.parametrize("space", [["s0"], {"s0": 1}, 5, None])
def test_a_space_is_a_name(space):
    with pytest.raises(ValidationError, match="space"):
        SearchConfig.model_validate({"space": space})


def test_files_and_overrides_win_in_order(tmp_path):
    first, second = tmp_path / "a.yaml", tmp_path / "b.yaml"
    first.write_text("epochs: 3\nbeta: {initial: 0.5, schedule: cosine}\n")
    second.write_text("epochs: 4\n")
    config = load_config(SearchConfig, [str(first), str(second)], ["beta.initial=0.25"])
    assert (config.epochs, config.beta.initial, config.beta.schedule) == (4, 0.25, "cosine")


def test_dump_reads_back():
    config = load_config(SearchConfig, overrides=["epochs=7", "data.mean=[0.1,0.2,0.3]", "data.std=[1,1,1]"])
    import yaml

    assert SearchConfig.model_validate(yaml.safe_load(dump_config(config))) == config


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("bogus=1", "Unknown config key 'bogus'"),
        ("data.bogus=1", "Unknown config key 'data.bogus'"),
        ("epochs=0", "epochs"),
        ("epochs=many", "epochs"),
        ("epochs=3.5", "epochs"),
        ("channels=15", "channels must be a multiple of 2"),
        ("weights.learning_rate=-1", "weights.learning_rate"),
        ("weights.learning_rate=.nan", "weights.learning_rate"),
        ("weights.min_learning_rate=1", "min_learning_rate"),
        ("beta.schedule=square", "beta.schedule"),
        ("beta.start_epoch=50", "start_epoch"),
        ("data.mean=[0,0,0]", "mean and std"),
        ("epochs", "key.subkey=value"),
        ("=3", "key.subkey=value"),
        ("epochs=[1", "not valid YAML"),
        ("data=3", "data"),
    ],
)
def test_bad_overrides_give_one_line(override, message):
    with pytest.raises(UsageError) as error:
        load_config(SearchConfig, overrides=[override])
    assert message in str(error.value) and "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("content", "message"), [("a: [", "not valid YAML"), ("- 1\n", "keys and values"), ("x: 1\n", "'x'")]
)
def test_bad_files_give_one_line(tmp_path, content, message):
    path = tmp_path / "c.yaml"
    path.write_text(content)
    with pytest.raises(UsageError, match=message):
        load_config(SearchConfig, [str(path)])
    with pytest.raises(UsageError, match="No such file"):
        load_config(SearchConfig, [str(tmp_path / "absent.yaml")])


@given(st.text(max_size=40))
def test_any_override_is_read_or_refused(text):
    try:
        load_config(SearchConfig, overrides=[text])
    except UsageError as error:
        assert "\n" not in str(error)
