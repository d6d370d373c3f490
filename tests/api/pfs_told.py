"""Texts attached to anything, in one request or several edits at once, told to a server and to the model beside it."""

from __future__ import annotations

from collections.abc import Callable

from pfs_change import Change, Refused
from pfs_lent import Lent
from pfs_rules import Luck, repo_picker

from trunkline.wire.gen import metadata_pb2 as notes
from trunkline.wire.gen import pfs_v2_pb2 as pfs

Texts = Callable[[Change], dict[str, str]]


class Told(Lent):
    """With metadata of the cluster, projects, repos, branches and commits."""

    def note(self, luck: Luck) -> None:
        """One edit or a few, all of them or none."""
        made = [self._edit(luck) for _ in range(luck.choice([1, 1, 1, 2, 3]))]
        request = notes.EditMetadataRequest(edits=[edit for edit, _ in made])
        self.played.do(lambda: self.server.metadata.EditMetadata(request), *[step for _, step in made])

    def _edit(self, luck: Luck) -> tuple[notes.Edit, Callable[[Change], None]]:
        edit, texts_of = self._picked_thing(luck)
        key, what = luck.choice(["k", "l"]), luck.choice(["add", "edit", "delete", "replace"])
        match what:
            case "add":
                edit.add_key.key, edit.add_key.value = key, "1"
            case "edit":
                edit.edit_key.key, edit.edit_key.value = key, "2"
            case "delete":
                edit.delete_key.key = key
            case _:
                edit.replace.replacement[key] = "3"

        def step(change: Change) -> None:
            texts = texts_of(change)
            if what == "add" and key in texts:
                raise Refused
            if what == "delete":
                texts.pop(key, None)
            elif what == "replace":
                texts.clear()
                texts[key] = "3"
            else:
                texts[key] = "1" if what == "add" else "2"

        return edit, step

    def _picked_thing(self, luck: Luck) -> tuple[notes.Edit, Texts]:
        at, one = self.at(luck), self.picked(luck)

        def known(of: Callable[[Change], dict], key) -> Texts:
            def texts(change: Change) -> dict[str, str]:
                if key not in of(change):
                    raise Refused
                return of(change)[key].notes

            return texts

        kind = luck.choice(["cluster", "project", "repo", "branch", "commit"])
        if kind == "cluster":
            return notes.Edit(cluster=notes.ClusterPicker()), lambda change: change.world.notes
        if kind == "project":
            name = luck.choice(["default", "other"])
            return notes.Edit(project=pfs.ProjectPicker(name=name)), known(lambda change: change.world.projects, name)
        if kind == "branch":
            name = pfs.BranchPicker.BranchName(repo=repo_picker(at[0]), name=at[1])
            return notes.Edit(branch=pfs.BranchPicker(name=name)), known(lambda change: change.world.branches, at)
        if kind == "commit" and one is not None:
            by_id = pfs.CommitPicker.CommitByGlobalId(repo=repo_picker(one.repo), id=one.id)
            picker = pfs.CommitPicker(id=by_id)
            return notes.Edit(commit=picker), known(lambda change: change.world.commits, one.number)
        return notes.Edit(repo=repo_picker(at[0])), known(lambda change: change.world.repos, at[0])
