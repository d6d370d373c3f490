"""Globs over whole columns of paths: RE2 does the work, our own matcher only what RE2 cannot say."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

import pyarrow as pa
import pyarrow.compute as pc

from trunkline.model.globs.tree import Capture, Choice, Literal, Node, One, Run, has_negation, re2_choice

if TYPE_CHECKING:
    from trunkline.model.globs import Glob

Column: TypeAlias = pa.Array | pa.ChunkedArray


def mask(glob: Glob, paths: Column) -> Column:
    """For each of `paths` whether `glob` matches it."""
    bare = pc.fill_null(pc.utf8_rtrim(paths, characters="/"), "\n")  # a path never holds a line break
    if glob.literal is not None:
        return pc.equal(bare, glob.literal.rstrip("/"))
    if not glob.negates:
        return pc.match_substring_regex(bare, glob.bound)
    excluded = exclusions(glob.nodes)
    if excluded is None:
        return _one_by_one(glob, bare)
    found = pc.extract_regex(bare, glob.bound)
    wanted = pc.is_valid(found)
    for number, expression in excluded:
        held = pc.fill_null(pc.struct_field(found, f"c{number}"), "")
        wanted = pc.and_not(wanted, pc.match_substring_regex(held, expression))
    return wanted


def captures(glob: Glob, paths: Column) -> list[Column]:
    """What each capture of `glob` holds for each of `paths`, which all match."""
    if not glob.captures:
        return []
    bare = pc.utf8_rtrim(paths, characters="/")
    if glob.negates and exclusions(glob.nodes) is None:
        rows = [glob.match(path.as_py()) or () for path in bare]
        return [pa.array([row[n] for row in rows], bare.type) for n in range(glob.captures)]
    found = pc.extract_regex(bare, glob.bound)
    names = {field.name for field in found.type}
    nothing = pc.utf8_slice_codeunits(bare, 0, 0)  # captures inside a negation take no part
    return [pc.struct_field(found, f"c{n}") if f"c{n}" in names else nothing for n in range(1, glob.captures + 1)]


def expanded(parts: list[str | int], paths: Column, held: list[Column]) -> Column:
    """A template's text for each row; `parts` are its literal texts and capture numbers."""
    columns = [paths, *held]
    pieces: list[Column | pa.Scalar] = []
    for part in parts:
        if isinstance(part, str):
            pieces.append(pa.scalar(part, paths.type))
        elif part < len(columns):
            pieces.append(columns[part])
    # The empty slice of the paths makes the answer a column even where no piece is one.
    nothing = pc.utf8_slice_codeunits(paths, 0, 0)
    return pc.binary_join_element_wise(nothing, *pieces, pa.scalar("", paths.type))


def exclusions(nodes: tuple[Node, ...]) -> list[tuple[int, str]] | None:
    """Captures that must not match an expression, where that and the bound decide a match; None where they do not.

    They do when what each negation stands for is certain. For that its element holds nothing else of varying length,
    the elements are certain (one node at most may take in slashes), and no negation stands inside anything.
    """
    found: list[tuple[int, str]] = []
    loose = 0
    for element in _elements(nodes):
        varying = [node for node in element if not isinstance(node, (Literal, One))]
        negations = [node for node in varying if isinstance(node, Capture) and node.mark == "!"]
        loose += sum(map(_takes_slashes, varying))
        if loose > 1 or (negations and len(varying) > 1):
            return None
        for node in negations:
            if any(map(has_negation, node.body.options)):
                return None
            found.append((node.number, rf"(?s)\A{re2_choice(node.body)}\z"))
        if not negations and has_negation(tuple(varying)):
            return None
    return found


def _elements(nodes: tuple[Node, ...]) -> list[list[Node]]:
    """`nodes` cut at the slashes of the outermost literals."""
    elements: list[list[Node]] = [[]]
    for node in nodes:
        if isinstance(node, Literal):
            first, *rest = node.text.split("/")
            elements[-1].append(Literal(first))
            elements.extend([Literal(text)] for text in rest)
        else:
            elements[-1].append(node)
    return elements


def _takes_slashes(node: Node) -> bool:
    match node:
        case Literal(text):
            return "/" in text
        case Run(deep):
            return deep
        case Choice(options):
            return any(_takes_slashes(inner) for option in options for inner in option)
        case Capture(mark, _, body):
            return mark != "!" and _takes_slashes(body)
        case _:
            return False


def _one_by_one(glob: Glob, bare: Column) -> Column:
    survivors = pc.match_substring_regex(bare, glob.bound)
    kept = [
        likely and glob.match(path) is not None
        for likely, path in zip(survivors.to_pylist(), bare.to_pylist(), strict=True)
    ]
    return pa.array(kept, pa.bool_())
