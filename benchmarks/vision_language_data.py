"""Questions about pictures: easy-VQA from the shared data, and the digit scenes of the package."""

import io
import json
import zipfile

import numpy as np
from sklearn.datasets import load_digits
from tabular_data import shared_folder

from sklearn_selfattn.datasets import make_digit_scenes
from sklearn_selfattn.vision_language import make_pairs

SIDE = 32  # pixels, of 64
N_TRAIN = 12_000
TEMPLATES = ("exist", "count", "relation")


def easy_vqa(seed):
    """Return pairs and answers: 12,000 questions of the training part, all of the test part."""
    from PIL import Image

    with zipfile.ZipFile(shared_folder().parent / "vqa" / "easy_vqa.zip") as archive:

        def pictures(part, numbers):
            found = {}
            for i in sorted(set(numbers)):
                raw = io.BytesIO(archive.read(f"{part}/images/{i}.png"))
                picture = Image.open(raw).convert("RGB").resize((SIDE, SIDE), Image.Resampling.BOX)
                found[i] = np.asarray(picture)
            return [found[i] for i in numbers]

        parts = []
        for part in ("train", "test"):
            questions = json.loads(archive.read(f"{part}/questions.json"))
            if part == "train":
                chosen = np.random.RandomState(seed).permutation(len(questions))[:N_TRAIN]
                questions = [questions[i] for i in chosen]
            texts, answers, numbers = zip(*questions, strict=True)
            parts += [make_pairs(pictures(part, numbers), texts), np.array(answers)]
    return parts


def scenes(seed, n_train=20_000, n_test=3_000, **given):
    """Return pairs and answers, made of different pictures, and the kinds of test questions."""
    X, y = make_digit_scenes(n_train, digits="train", random_state=seed, **given)
    test = {**given, "combinations": "unseen"} if "combinations" in given else given
    X_test, y_test, kind = make_digit_scenes(
        n_test, digits="test", return_kind=True, random_state=1000 + seed, **test
    )
    return X.to_numpy(), y, X_test.to_numpy(), y_test, kind


def digits_of(image):
    """Return the digit of each cell of a scene, told by its pixels; None where there is none."""
    bunch = load_digits()
    pixels = np.minimum(16 * bunch.images, 255).astype(np.uint8)
    known = {one.tobytes(): int(digit) for one, digit in zip(pixels, bunch.target, strict=True)}
    places = range(0, 24, 8)
    return [known.get(image[r : r + 8, c : c + 8].tobytes()) for r in places for c in places]
