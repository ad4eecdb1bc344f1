"""`python train.py model=lstm data=imdb optim.lr=3e-3`: see seqlab/train.py, where the whole road is one short function."""

from seqlab.train import main

if __name__ == "__main__":
    main()
