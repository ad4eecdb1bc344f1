import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from seqlab.data.splitting import by_hash, crossings, crossings_said, grouped, stratified


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 12), st.integers(0, 2)), min_size=2, max_size=80), st.integers(0, 50))
def test_no_text_is_on_both_sides(rows, seed):
    texts, targets = [f"t{text}" for text, _ in rows], [target for _, target in rows]
    kept, held = grouped(texts, targets, 0.2, seed)
    assert sorted([*kept, *held]) == list(range(len(rows)))
    assert not {texts[row] for row in kept} & {texts[row] for row in held}
    assert all(
        np.array_equal(one, other) for one, other in zip((kept, held), grouped(texts, targets, 0.2, seed), strict=True)
    )


@settings(max_examples=30, deadline=None)
@given(st.lists(st.integers(0, 2), min_size=2, max_size=60), st.integers(0, 50))
def test_texts_that_all_differ_are_held_out_as_rows_are(targets, seed):
    rows = stratified(targets, 0.2, seed)
    texts = grouped([f"t{row}" for row in range(len(targets))], targets, 0.2, seed)
    assert all(np.array_equal(one, other) for one, other in zip(rows, texts, strict=True))


def test_a_few_texts_that_cross_are_kept_and_the_others_stay_where_they_were():
    targets = [0, 1] * 50
    kept, held = stratified(targets, 0.2, 0)
    texts = [f"t{row}" for row in range(100)]
    texts[held[0]] = texts[kept[0]]
    now, out = grouped(texts, targets, 0.2, 0)
    assert out.tolist() == held[1:].tolist()
    assert sorted([*kept, held[0]]) == now.tolist()


def test_where_every_text_stands_there_often_whole_texts_are_drawn():
    texts = [f"t{row // 10}" for row in range(400)]
    kept, held = grouped(texts, [row // 10 % 2 for row in range(400)], 0.1, 0)
    assert (len(kept), len(held)) == (360, 40)


def test_a_text_of_two_labels_does_not_take_the_last_text_of_a_label_away():
    """Whatever the hashes are: every label keeps a text to learn from, and equal texts stay together."""
    for number in range(60):
        texts = [f"{number} {row}" for row in range(9)] + [f"{number} 0", f"{number} 0"]
        labels = ["a"] * 9 + ["b", "b"]
        held = by_hash(texts, labels, 0.3)
        assert {label for label, is_held in zip(labels, held, strict=True) if not is_held} == {"a", "b"}
        assert len({is_held for text, is_held in zip(texts, held, strict=True) if text == f"{number} 0"}) == 1


def test_what_is_twice_there_is_said():
    found = crossings(
        {"train": (["a", "b", "b", "c"], [0, 1, 0, 0]), "val": (["c"], [0]), "test": (["c", "c", "a"], [1, 1, 0])}
    )
    assert found == {"train/val": 1, "train/test": 2, "val/test": 1, "labels": 2}
    assert crossings_said(found) == (
        "1 text of the validation part is in the training part too; "
        "2 different texts of the test part are in the training part too; "
        "1 text of the test part is in the validation part too; "
        "2 different texts have more than one label"
    )
    assert crossings({"train": (["a"], [0]), "test": (["b"], [0])}) == {}
    assert crossings_said({}) == ""
