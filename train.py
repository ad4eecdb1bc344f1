"""``python train.py model=lstm data=imdb optim.lr=3e-3``: the whole road is one short function in seqlab/train.py."""

from seqlab.train import main

if __name__ == "__main__":
    main()
