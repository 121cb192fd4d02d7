"""The table of a model's parts that is printed before training."""

from typing import Any

from lightning.pytorch.callbacks import RichModelSummary
from lightning.pytorch.utilities.model_summary import get_human_readable_count

COLUMNS = ("Name", "Type", "Params")
"""Of Lightning's table; its others say nothing before a first step: modes, and operations, which are 0."""


class ModelTable(RichModelSummary):
    """Lightning's table of the model's parts, in the columns that say something, and the sum in one line."""

    @staticmethod
    def summarize(  # noqa: D102 (Lightning's)
        summary_data: list[tuple[str, list[str]]],
        total_parameters: int,
        trainable_parameters: int,
        model_size: float,
        total_training_modes: dict[str, int],
        total_flops: int,
        **summarize_kwargs: Any,  # noqa: ANN401
    ) -> None:
        from rich import get_console
        from rich.table import Table

        columns = {title: values for title, values in summary_data if title in COLUMNS}
        table = Table()
        for title in columns:
            table.add_column(title, justify="right" if title == "Params" else "left")
        for row in zip(*columns.values(), strict=True):
            if row[-1].strip() not in ("0", "n/a"):
                table.add_row(*row)
        get_console().print(table)
        total, trained = (
            get_human_readable_count(each).strip() for each in (total_parameters, trainable_parameters)
        )
        print(f"{total} parameters ({model_size:.1f} MB), of which {trained} are trained", flush=True)
