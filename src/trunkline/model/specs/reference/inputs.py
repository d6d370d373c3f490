"""Meanings of the fields that say what a pipeline reads."""

from __future__ import annotations

from collections.abc import Mapping

from trunkline.model.specs.reference.meaning import Field

_LEAF = {"pfs": {"repo": "images", "glob": "/*"}}
_PAIR = [{"pfs": {"repo": "images", "glob": "/*"}}, {"pfs": {"repo": "models", "glob": "/"}}]
_KEYED = [
    {"pfs": {"repo": "readings", "glob": "/(*)/*.csv", "joinOn": "$1"}},
    {"pfs": {"repo": "stations", "glob": "/(*).json", "joinOn": "$1"}},
]
_GROUPED = [{"pfs": {"repo": "readings", "glob": "/*-(*).csv", "groupBy": "$1"}}]

ABOUT: Mapping[str, str] = {
    "input": "What a pipeline reads: exactly one of these kinds. The last four hold inputs themselves.",
    "pfs": "Files of a branch. Each path that the glob matches is a datum, or part of one.",
    "cron": "Ticks: a file whose name is the instant, committed to a repo of its own whenever the schedule says.",
    "trigger": "Reads the branch not at each commit, but when enough has come together.",
    "propagation_spec": "Whether a commit on this input starts a job.",
}

FIELDS: Mapping[str, Mapping[str, Field]] = {
    "input": {
        "pfs": Field("Files of a branch.", _LEAF["pfs"]),
        "join": Field("Datums are made of files whose `joinOn` keys are equal; one file of each member.", _KEYED),
        "group": Field("Datums are made of all files with the same `groupBy` key, however many.", _GROUPED),
        "cross": Field("Every combination of a datum of each member.", _PAIR),
        "union": Field("The datums of one member, then those of the next; code sees one member at a time.", _PAIR),
        "cron": Field("Ticks of a clock.", {"name": "tick", "spec": "@every 60s"}),
    },
    "pfs": {
        "name": Field(
            "What code finds the input under: `/pfs/NAME`. Names differ within a datum; `out` is taken.",
            "left",
            "the repo's name",
        ),
        "repo": Field("The repo to read.", "images"),
        "branch": Field("The branch to read.", "staging", "`master`"),
        "commit": Field("Set by the server in the inputs of jobs; a spec names a branch.", ""),
        "glob": Field(
            "Which paths are datums: `/` is the whole commit as one, `/*` each top-level entry by itself.", "/*"
        ),
        "join_on": Field("In a join: the key of a match, made of the glob's captures.", "$1"),
        "outer_join": Field("In a join: matches whose key no other member has are kept, alone.", True, "`false`"),
        "group_by": Field("In a group: the key of a match, made of the glob's captures.", "$1"),
        "lazy": Field(
            "Files are named pipes, fetched when code opens them and read from front to back; what is never opened "
            "costs nothing.",
            True,
            "`false`",
        ),
        "empty_files": Field(
            "Files are there by name, without content; for code that only moves files.", True, "`false`"
        ),
        "s3": Field("Code reads the input as an S3 bucket instead of files; the glob is `/`.", True, "`false`"),
        "trigger": Field("Wait until enough has come together.", {"commits": 10}),
        "repo_type": Field("`meta` reads what another pipeline recorded about its datums.", "meta", "`user`"),
        "project": Field("The project of the repo.", "weather", "the pipeline's project"),
        "propagation_spec": Field("Whether a commit here starts a job.", {"never": True}),
        "reference": Field("Kept for other servers; no effect here.", True, "`false`"),
    },
    "cron": {
        "name": Field("What code finds the ticks under: `/pfs/NAME`.", "tick"),
        "repo": Field("The repo of the ticks, made by the server.", "report_tick", "`PIPELINE_NAME`"),
        "commit": Field("Set by the server in the inputs of jobs.", ""),
        "spec": Field(
            "When: five fields as crontab has them, `@every 10s`, `@hourly`, `@daily` and so on, or `@never`.",
            "0 6 * * *",
        ),
        "overwrite": Field("Keep only the newest tick.", True, "`false`"),
        "start": Field(
            "The first instant; one in the past makes up for the newest 10,000 ticks missed.",
            "2024-05-01T00:00:00Z",
            "when the pipeline is made",
        ),
        "project": Field("The project of the tick repo.", "weather", "the pipeline's project"),
    },
    "trigger": {
        "branch": Field("The branch that is watched.", "staging", "`master`"),
        "all": Field("All conditions must hold; else one is enough.", True, "`false`"),
        "rate_limit_spec": Field("At most as often as this schedule.", "@every 10m"),
        "size": Field("When this much has been added.", "100M"),
        "commits": Field("When there are this many new commits.", 10),
        "cron_spec": Field("On this schedule, if there is anything new; not together with other conditions.", "@daily"),
    },
    "propagation_spec": {
        "never": Field("A commit on this input alone starts no job; the next one sees it.", True, "`false`")
    },
}
