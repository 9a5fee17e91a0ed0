"""`make notebook`: run docs/first_steps.ipynb from top to bottom and keep what it prints."""

import tempfile
from pathlib import Path

import nbformat
from nbclient import NotebookClient

NOTEBOOK = Path(__file__).parent.parent / "docs" / "first_steps.ipynb"


def executed(folder: Path) -> nbformat.NotebookNode:
    """The notebook after it ran in a folder; the first cell that fails raises.

    When it ran stays out, so that a second run differs only where something changed.
    """
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    resources = {"metadata": {"path": str(folder)}}
    NotebookClient(notebook, timeout=600, record_timing=False, resources=resources).execute()
    for cell in notebook.cells:
        cell.metadata.pop("execution", None)
        for output in cell.get("outputs", []):
            if "text" in output:
                output["text"] = output["text"].replace("\r\n", "\n")
    return notebook


def main() -> None:
    """Rewrite the notebook with what its cells print now."""
    with tempfile.TemporaryDirectory() as folder:  # where nothing is completed already
        notebook = executed(Path(folder))
    notebook.metadata["language_info"] = {"name": "python"}
    nbformat.write(notebook, NOTEBOOK)


if __name__ == "__main__":
    main()
