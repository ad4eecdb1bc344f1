#!/usr/bin/env bash
# Builds an environment with the real torchtext (its last release, 0.18.0, loads beside torch 2.3 alone), then shows
# that `data/tokenizer=torchtext` trains end to end there and that torchtext gives the recorded answers our tests hold.
#
#   scripts/torchtext_env.sh [FOLDER]     default .venv-torchtext; PYTHON names the interpreter (3.10 to 3.12)
set -euo pipefail
cd "$(dirname "$0")/.."
folder=${1:-.venv-torchtext}
python=${PYTHON:-python3}

"$python" - <<'PY'
import sys
if not (3, 10) <= sys.version_info < (3, 13):
    sys.exit(f"torch 2.3.1 has no wheel for Python {sys.version.split()[0]}: set PYTHON to an interpreter of 3.10 to 3.12.")
PY
[ -x "$folder/bin/python" ] || "$python" -m venv "$folder"
bin=$(cd "$folder/bin" && pwd)
"$bin/python" -m pip install --quiet \
    "torch==2.3.1" "torchtext==0.18.0" "numpy<2" \
    "hydra-core>=1.3.2,<1.4" "omegaconf>=2.3,<2.4" "tensorboard>=2.21" rich typer scikit-learn matplotlib tokenizers \
    pytest hypothesis
"$bin/python" -m pip install --quiet --editable ".[torchtext]"
"$bin/python" -c "import torch, torchtext; print('torch', torch.__version__, 'torchtext', torchtext.__version__)" 2>/dev/null

echo "== the recorded answers, asked of seqlab.text and of torchtext"
"$bin/python" -m pytest tests/unit/text -rs

echo "== a run whose tokens and vocabulary come from torchtext"
"$bin/python" train.py model=lstm data=reviews data/tokenizer=torchtext
