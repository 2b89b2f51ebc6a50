import pickle

import pytest
from torch.utils.data import DataLoader, Dataset

from fgsbir.errors import Faults, InputError


class Broken(Dataset):
    def __len__(self):
        return 2

    def __getitem__(self, index):
        raise InputError("photo.png", "not a\n  readable image", "replace the file")


@pytest.mark.parametrize("workers", [0, 1])
def test_a_loader_process_hands_on_the_one_line(workers):
    with pytest.raises(InputError) as caught:
        list(DataLoader(Broken(), num_workers=workers))
    assert str(caught.value) == "photo.png: not a readable image; replace the file"


def test_it_survives_pickling():
    error = InputError("a", "b", "c")
    assert str(pickle.loads(pickle.dumps(error))) == str(error) == "a: b; c"


def test_what_cannot_be_printed_is_escaped():
    error = InputError("a\x1b[2Jb", "the key 'x\x00\ud800' is unknown", "use\u2028café")
    assert str(error) == r"a\x1b[2Jb: the key 'x\x00\ud800' is unknown; use café"


def test_one_fault_speaks_for_itself_and_several_are_counted():
    faults = Faults()
    faults.refuse("mine")
    for number in (1, 2):
        with faults.gathered():
            raise InputError(f"{number}.svg", "it is empty", "draw something")
        with pytest.raises(InputError) as caught:
            faults.refuse("mine", "repair them")
        expected = "1.svg: it is empty; draw something"
        assert str(caught.value) == (expected if number == 1 else f"mine: 2 faults, first: {expected}; repair them")
    with pytest.raises(ValueError, match="ours"), faults.gathered():
        raise ValueError("ours")
