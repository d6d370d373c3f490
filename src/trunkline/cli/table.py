"""Every command, and the function that is behind it. The functions' modules are imported only when they are used."""

from __future__ import annotations

Tree = dict[str, "str | Tree"]

_DATA = "trunkline.cli.commands.data"
_WORK = "trunkline.cli.commands.work"
_SETUP = "trunkline.cli.commands.setup"
_VERSIONS = "trunkline.cli.commands.versions"

COMMANDS: Tree = {
    "create": {
        "branch": f"{_DATA}.branches:create",
        "defaults": f"{_WORK}.defaults:create",
        "image": f"{_WORK}.images:create",
        "pipeline": f"{_WORK}.specs:create",
        "project": f"{_DATA}.projects:create",
        "repo": f"{_DATA}.repos:create",
        "secret": f"{_WORK}.secrets:create",
        "tag": f"{_VERSIONS}.tags:create",
    },
    "update": {
        "defaults": f"{_WORK}.defaults:update",
        "pipeline": f"{_WORK}.specs:update",
        "project": f"{_DATA}.projects:update",
        "repo": f"{_DATA}.repos:update",
    },
    "edit": {"metadata": f"{_SETUP}.metadata:edit", "pipeline": f"{_WORK}.specs:edit"},
    "inspect": {
        "branch": f"{_DATA}.branches:inspect",
        "cluster": f"{_SETUP}.cluster:inspect",
        "commit": f"{_DATA}.commits:inspect",
        "datum": f"{_WORK}.datums:inspect",
        "defaults": f"{_WORK}.defaults:inspect",
        "file": f"{_DATA}.files:inspect",
        "image": f"{_WORK}.images:inspect",
        "job": f"{_WORK}.jobs:inspect",
        "pipeline": f"{_WORK}.pipelines:inspect",
        "project": f"{_DATA}.projects:inspect",
        "purge": f"{_VERSIONS}.purges:inspect",
        "repo": f"{_DATA}.repos:inspect",
        "schema": f"{_WORK}.specs:schema",
        "storage": f"{_SETUP}.storage:inspect",
        "secret": f"{_WORK}.secrets:inspect",
        "transaction": f"{_SETUP}.transactions:inspect",
    },
    "list": {
        "branch": f"{_DATA}.branches:list_",
        "commit": f"{_DATA}.commits:list_",
        "datum": f"{_WORK}.datums:list_",
        "file": f"{_DATA}.files:list_",
        "image": f"{_WORK}.images:list_",
        "job": f"{_WORK}.jobs:list_",
        "pipeline": f"{_WORK}.pipelines:list_",
        "project": f"{_DATA}.projects:list_",
        "purge": f"{_VERSIONS}.purges:list_",
        "repo": f"{_DATA}.repos:list_",
        "secret": f"{_WORK}.secrets:list_",
        "tag": f"{_VERSIONS}.tags:list_",
        "transaction": f"{_SETUP}.transactions:list_",
    },
    "delete": {
        "all": f"{_SETUP}.cluster:delete_all",
        "branch": f"{_DATA}.branches:delete",
        "commit": f"{_DATA}.commits:delete",
        "commitV2": f"{_DATA}.commits:delete_one",
        "defaults": f"{_WORK}.defaults:delete",
        "file": f"{_DATA}.files:delete",
        "image": f"{_WORK}.images:delete",
        "job": f"{_WORK}.jobs:delete",
        "pipeline": f"{_WORK}.pipelines:delete",
        "project": f"{_DATA}.projects:delete",
        "repo": f"{_DATA}.repos:delete",
        "secret": f"{_WORK}.secrets:delete",
        "tag": f"{_VERSIONS}.tags:delete",
        "transaction": f"{_SETUP}.transactions:delete",
    },
    "start": {
        "commit": f"{_DATA}.commits:start",
        "pipeline": f"{_WORK}.pipelines:start",
        "transaction": f"{_SETUP}.transactions:start",
    },
    "stop": {
        "job": f"{_WORK}.jobs:stop",
        "pipeline": f"{_WORK}.pipelines:stop",
        "purge": f"{_VERSIONS}.purges:stop",
        "transaction": f"{_SETUP}.transactions:stop",
    },
    "finish": {
        "commit": f"{_DATA}.commits:finish",
        "transaction": f"{_SETUP}.transactions:finish",
    },
    "resume": {"transaction": f"{_SETUP}.transactions:resume"},
    "wait": {
        "commit": f"{_DATA}.waits:wait_commit",
        "job": f"{_WORK}.jobs:wait",
    },
    "subscribe": {"commit": f"{_DATA}.waits:subscribe"},
    "merge": {"branch": f"{_VERSIONS}.merges:merge"},
    "purge": {"file": f"{_VERSIONS}.purges:purge"},
    "squash": {
        "commit": f"{_DATA}.commits:squash",
        "commitV2": f"{_DATA}.commits:squash_one",
    },
    "find": {"commit": f"{_DATA}.waits:find"},
    "put": {"file": f"{_DATA}.put:put"},
    "get": {"file": f"{_DATA}.get:get"},
    "copy": {"file": f"{_DATA}.files:copy"},
    "glob": {"file": f"{_DATA}.files:glob"},
    "diff": {"file": f"{_DATA}.diff:diff"},
    "next": {"datum": f"{_WORK}.datums:next_datum"},
    "restart": {"datum": f"{_WORK}.datums:restart"},
    "rerun": {"pipeline": f"{_WORK}.pipelines:rerun"},
    "check": {"status": f"{_WORK}.pipelines:check_status"},
    "run": {
        "collection": f"{_SETUP}.storage:collect",
        "cron": f"{_WORK}.pipelines:run_cron",
    },
    "validate": {"pipeline": f"{_WORK}.specs:validate"},
    "draw": {"pipeline": f"{_WORK}.pipelines:draw"},
    "logs": f"{_WORK}.logs:logs",
    "loki": f"{_WORK}.logs:loki",
    "kube-events": f"{_WORK}.logs:kube_events",
    "why": f"{_WORK}.why:why",
    "replay": f"{_WORK}.replay:replay",
    "backup": f"{_SETUP}.backups:backup",
    "restore": f"{_SETUP}.backups:restore",
    "export": f"{_SETUP}.moving:export",
    "import": f"{_SETUP}.moving:import_",
    "fsck": f"{_SETUP}.cluster:fsck",
    "connect": f"{_SETUP}.contexts:connect",
    "config": {
        "delete": {"context": f"{_SETUP}.contexts:delete"},
        "get": {
            "active-context": f"{_SETUP}.contexts:get_active",
            "context": f"{_SETUP}.contexts:get",
            "metrics": f"{_SETUP}.contexts:get_metrics",
        },
        "list": {"context": f"{_SETUP}.contexts:list_"},
        "set": {
            "active-context": f"{_SETUP}.contexts:set_active",
            "context": f"{_SETUP}.contexts:set_",
            "metrics": f"{_SETUP}.contexts:set_metrics",
        },
        "update": {"context": f"{_SETUP}.contexts:update"},
    },
    "completion": f"{_SETUP}.completion:completion",
    "version": f"{_SETUP}.version:version",
}
"""Verb to noun to `module:function`; a verb that takes no noun names its function itself."""

UNLISTED: frozenset[str] = frozenset()
"""Commands for calls that pachd of this version does not have: help leaves them out, other servers answer them."""

VERB_HELP = {
    "check": "Look for what needs somebody.",
    "config": "Read and change the client's own configuration.",
    "copy": "Copy files, by reference.",
    "create": "Make a project, repo, branch, pipeline, image or secret, or set defaults.",
    "delete": "Remove things.",
    "diff": "Compare files.",
    "draw": "Draw the pipelines as a graph.",
    "edit": "Change a pipeline in an editor, or what is attached to things.",
    "find": "Search history.",
    "finish": "Close a commit or a transaction.",
    "get": "Read files.",
    "glob": "Find files by pattern.",
    "inspect": "Show one thing in full.",
    "list": "Show many things, a line each.",
    "next": "Take the next datum, in code of a pipeline.",
    "purge": "Take files out of all history, with all that was made from them.",
    "put": "Write files.",
    "rerun": "Run a pipeline again.",
    "restart": "Start datums over.",
    "resume": "Go on with a transaction.",
    "run": "Start something now.",
    "squash": "Remove history, keep the data.",
    "merge": "Bring what one branch changed into another.",
    "start": "Open a commit or a transaction, or start a pipeline again.",
    "stop": "Stop a job, a pipeline or a purge, or leave a transaction.",
    "subscribe": "Watch commits as they come.",
    "update": "Change a project, repo, pipeline or defaults.",
    "validate": "Check a spec without sending it.",
    "wait": "Block until something is done.",
}
"""One line for each verb that takes nouns."""

CONFIG_HELP = {
    "delete": "Remove a context.",
    "get": "Show a context or a setting.",
    "list": "Show all contexts.",
    "set": "Add a context, or change a setting.",
    "update": "Change a context.",
}

SYNONYMS = {
    "branches": "branch",
    "clusters": "cluster",
    "commits": "commit",
    "contexts": "context",
    "datums": "datum",
    "files": "file",
    "images": "image",
    "jobs": "job",
    "pipelines": "pipeline",
    "projects": "project",
    "purges": "purge",
    "repos": "repo",
    "secrets": "secret",
    "transactions": "transaction",
}
"""Other words for nouns."""
