"""A student's folder: the sources with a part blanked, the page that says what to do, the given tests."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import yaml

from course import blanks
from course.exercises import Exercise, find
from topo import paths
from topo.errors import FileError, UsageError

NAME_FILE = "exercise.yaml"
TEXT_FILE = "README.md"


@dataclass(frozen=True, slots=True)
class WorkingCopy:
    """A folder of one exercise."""

    exercise: Exercise
    folder: Path

    def file(self, source: str) -> Path:
        """The student's file for one of the exercise's sources."""
        return self.folder / Path(source).name


def start(exercise: Exercise, folder: Path) -> WorkingCopy:
    """Write a working copy. Raises UsageError where something is there already, FileError."""
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise UsageError(f"{folder} is there already, and is left as it is: name another folder")
    copy = WorkingCopy(exercise, folder)
    texts = {copy.file(source): text for source, text in blanks.cut(paths.ROOT, exercise.blanks).items()}
    texts[folder / TEXT_FILE] = (paths.ROOT / exercise.text).read_text(encoding="utf-8")
    texts[folder / exercise.tests_file] = exercise.tests()
    texts[folder / NAME_FILE] = (
        f"# Which exercise this is: `switchraft exercise check` reads it.\nexercise: {exercise.name}\n"
    )
    try:
        paths.make(folder)
        for file, text in texts.items():
            file.write_text(text, encoding="utf-8")
            paths.give(file)
    except OSError as error:
        raise FileError(f"{error.filename or folder}: {error.strerror}") from None
    return copy


def read(folder: Path) -> WorkingCopy:
    """The working copy in a folder. Raises UsageError where there is none, FileError where a file is gone."""
    named = folder / NAME_FILE
    try:
        said = yaml.safe_load(named.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        raise UsageError(
            f"{folder} is no folder of an exercise: begin one with `switchraft exercise start NAME`"
        ) from None
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise FileError(f"{named} cannot be read: {error}") from None
    if not isinstance(said, dict) or not isinstance(said.get("exercise"), str):
        raise FileError(f"{named} must hold one line, `exercise: NAME`")
    copy = WorkingCopy(find(said["exercise"]), folder)
    for source in copy.exercise.files:
        if not copy.file(source).is_file():
            raise FileError(f"{copy.file(source)} is gone: it is part of the exercise")
    return copy
