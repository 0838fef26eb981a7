"""What a stranger does with a bundle, in a process that cannot import this project; run by its path, not as a module.

python -I fresh_process.py TASK.json OUT.json     TASK names the bundle, the weights that it refers to, and the frames
python -P fresh_process.py serve ...              the command `transformers`, with all arguments
"""

from __future__ import annotations

import contextlib
import importlib.abc
import io
import json
import runpy
import shutil
import sys
from pathlib import Path
from typing import Any


class Absent(importlib.abc.MetaPathFinder):
    """Our packages, as if they were not installed."""

    def find_spec(self, name: str, path: object = None, target: object = None) -> None:
        """Refuse both names, and leave all others to the next finder."""
        if name.split(".")[0] in ("gapdata", "gapmodel", "tests"):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)


def main(task: dict[str, Any]) -> dict[str, Any]:
    """Load by Auto classes and by pipeline, ask, and save again."""
    import torch
    from PIL import Image
    from transformers import AutoConfig, AutoModelForImageTextToText, AutoProcessor, pipeline

    torch.set_num_threads(task["threads"])
    bundle = task["bundle"]
    found: dict[str, Any] = {}
    AutoConfig.from_pretrained(bundle, trust_remote_code=True)
    refusal = next(module for name, module in sys.modules.items() if name.endswith(".gapdata_errors")).UsageError
    try:
        AutoModelForImageTextToText.from_pretrained(bundle, trust_remote_code=True)
    except refusal as error:
        found["without weights"] = str(error)
    named = AutoModelForImageTextToText.from_pretrained(
        bundle, trust_remote_code=True, geometry_weights=task["weights"]
    )
    snapshot = Path(task["cache"]) / "models--facebook--VGGT-1B"
    (snapshot / "refs").mkdir(parents=True)
    (snapshot / "refs" / "main").write_text("0" * 40)
    (snapshot / "snapshots" / ("0" * 40)).mkdir(parents=True)
    shutil.copy(task["weights"], snapshot / "snapshots" / ("0" * 40) / "model.safetensors")
    model = AutoModelForImageTextToText.from_pretrained(bundle, trust_remote_code=True).eval()
    found["same weights"] = all(
        torch.equal(one, two) for one, two in zip(named.parameters(), model.parameters(), strict=True)
    )

    processor = AutoProcessor.from_pretrained(bundle, trust_remote_code=True)
    frames = [Image.open(path) for path in task["frames"]]
    parts: list[dict[str, Any]] = [{"type": "image", "image": frame} for frame in frames]
    parts[0]["mark"] = task["mark"]
    chat = [{"role": "user", "content": [*parts, {"type": "text", "text": task["text"]}]}]
    how = {"add_generation_prompt": True, "tokenize": True, "return_dict": True, "return_tensors": "pt"}
    inputs = processor.apply_chat_template(chat, **how)
    found["input_ids"] = inputs["input_ids"].tolist()
    with torch.inference_mode():
        logits = {"float32": model(**inputs).logits}
        answered = model.generate(**inputs, max_new_tokens=8)
        rounded = model.to(torch.bfloat16)
        logits["bfloat16"] = rounded(**inputs.to(dtype=torch.bfloat16)).logits
    torch.save({**logits, "geometry": inputs["geometry_images"]}, task["logits"])
    found["answer"] = processor.decode(answered[0, inputs["input_ids"].shape[1] :], skip_special_tokens=True)

    answer = pipeline("image-text-to-text", model=bundle, trust_remote_code=True, device="cpu")
    said = answer(chat, max_new_tokens=8, return_full_text=False)
    found["pipeline"] = said[0]["generated_text"]
    plain = answer(images=frames, text="<image><image>" + task["text"], max_new_tokens=8, return_full_text=False)
    found["pipeline without a chat"] = plain[0]["generated_text"]

    with contextlib.redirect_stdout(io.StringIO()) as printed:
        runpy.run_path(task["code"])
    found["code of the card"] = printed.getvalue().strip()

    model.to(torch.float32).save_pretrained(task["again"])
    processor.save_pretrained(task["again"])
    again = AutoModelForImageTextToText.from_pretrained(task["again"], trust_remote_code=True).eval()
    seen = AutoProcessor.from_pretrained(task["again"], trust_remote_code=True).apply_chat_template(chat, **how)
    found["saved ids"] = seen["input_ids"].tolist()
    found["saved class"] = type(again).__name__
    found["ours"] = sorted(name for name in sys.modules if name.split(".")[0] in ("gapdata", "gapmodel"))
    return found


if __name__ == "__main__":
    sys.meta_path.insert(0, Absent())
    if sys.argv[1] == "serve":
        from transformers.cli.transformers import main as transformers_command

        transformers_command()
    else:
        Path(sys.argv[2]).write_text(json.dumps(main(json.loads(Path(sys.argv[1]).read_text()))))
