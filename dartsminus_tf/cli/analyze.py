"""`dartsminus-analyze`: The paper's analyses of searches, as tables, figures and one report."""

from absl import flags

from dartsminus_tf.analysis import modes
from dartsminus_tf.cli.command import run_command
from dartsminus_tf.cli.search import parse_seeds, search_overrides
from dartsminus_tf.runtime import configure


def main() -> None:
    """Read the flags, run one analysis, and print where the report is."""
    values = flags.FLAGS
    request = modes.Request(
        mode=values.mode,
        run_dirs=list(values.run_dir),
        model_dir=values.model_dir,
        config_files=list(values.config_file),
        overrides=search_overrides(values),
        seeds=parse_seeds(values.seeds),
    )
    configure(inter_op_threads=values.inter_op_threads, intra_op_threads=values.intra_op_threads)
    print(modes.run(request))


def run() -> None:
    """Entry point."""
    flags.DEFINE_enum("mode", "alpha", list(modes.MODES), modes.describe())
    flags.DEFINE_multi_string(
        "run_dir", [], "The run directory of a search, or a directory that holds several; may be repeated."
    )
    flags.DEFINE_string("model_dir", "runs/analysis", "Where figures, tables and report.html go.")
    flags.DEFINE_multi_string("config_file", [], "YAML config of the searches or of the analysis; may be repeated.")
    flags.DEFINE_multi_string("params_override", [], "key.subkey=value, separated by commas or repeated.")
    flags.DEFINE_list("seeds", ["0"], "Seeds of the searches that an analysis runs.")
    flags.DEFINE_string("nasbench201_table", None, "True accuracies of NAS-Bench-201's cells, see tools/search.py.")
    flags.DEFINE_integer("inter_op_threads", None, "TensorFlow's; by default its own choice.")
    flags.DEFINE_integer("intra_op_threads", None, "TensorFlow's; by default its own choice.")
    run_command(main)
