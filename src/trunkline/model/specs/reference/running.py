"""Meanings of the fields that say what runs, how, and where its output goes."""

from __future__ import annotations

from collections.abc import Mapping

from trunkline.model.specs.reference.meaning import Field

_SPARE = {"cpu": 0.5, "memory": "256Mi"}
_SERVICE = {"internalPort": 8080, "externalPort": 30080}
_SQL = {
    "url": "postgresql://writer@db:5432/reports",
    "fileFormat": {"type": "CSV", "columns": ["day", "total"]},
    "secret": {"name": "reports-db", "key": "password"},
}

ABOUT: Mapping[str, str] = {
    "spec": "A pipeline: code that runs over the files of its inputs, and again over what is new whenever they change.",
    "pipeline": "The pipeline's address.",
    "project": "A project.",
    "tf_job": "Not supported.",
    "transform": "The code that runs for each datum.",
    "secret": "A secret for the code: as files under `mountPath`, or one key in an environment variable.",
    "parallelism_spec": "How many workers.",
    "egress": "Where output is copied after a job: exactly one of these. `URL` is the older spelling of the first.",
    "object_storage": "An object store.",
    "sql_database": "A database. A file's first folder names the table, whose rows are replaced by those of its files.",
    "file_format": "How rows are written in the files.",
    "sql_secret": "Where the database's password is kept.",
    "resources": "What a container may have, in the notation of Kubernetes.",
    "gpu": "Devices.",
    "service": "A port that the code listens on; the code is started again when its input changes.",
    "spout": "Code that runs for ever, reads no input and makes its own commits. `{}` is enough.",
    "datum_set_spec": "How many datums one worker takes at once.",
    "scheduling_spec": "On which nodes pods run.",
    "spec_commit": "Which commit holds this version.",
    "repo": "A repo.",
    "branch": "A branch.",
    "metadata": "Labels and annotations of what a cluster runs.",
    "toleration": "A taint of nodes that the pods put up with.",
    "determined": "Access to Determined workspaces.",
    "trunkline": "Our own fields. In the older call they are annotations, `trunkline/NAME`.",
}

FIELDS: Mapping[str, Mapping[str, Field]] = {
    "spec": {
        "pipeline": Field("The name, and the project.", {"name": "edges"}),
        "tf_job": Field("Refused: jobs of TensorFlow's operator are not supported.", {}),
        "transform": Field("The code.", {"image": "edges:1.2", "cmd": ["python3", "/edges.py"]}),
        "parallelism_spec": Field(
            "How many workers at most.", {"constant": 4}, "as many as there are; one on Kubernetes"
        ),
        "egress": Field("Copy the output to a store or a database after each job.", {"URL": "s3://bucket/edges"}),
        "update": Field("About the call: replace the pipeline if it is there.", True, "`false`"),
        "output_branch": Field("The branch of the output repo.", "staging", "`master`"),
        "s3_out": Field("Code writes its output as an S3 bucket, `out`. Nothing is skipped then.", True, "`false`"),
        "resource_requests": Field("What each worker is given for certain.", _SPARE, kubernetes=True),
        "resource_limits": Field("What each worker may have at most.", {"cpu": 2, "memory": "2Gi"}),
        "sidecar_resource_limits": Field("The same for the container beside the code.", _SPARE, kubernetes=True),
        "input": Field("What it reads. Needed, except for a spout.", {"pfs": {"repo": "images", "glob": "/*"}}),
        "description": Field("For people; lists show it.", "finds edges"),
        "reprocess": Field("About the call: forget what was done, run every datum.", True, "`false`"),
        "service": Field("Run the code as a service on one datum.", _SERVICE),
        "spout": Field("Run the code for ever, without input.", {"service": _SERVICE}),
        "datum_set_spec": Field(
            "How many datums a worker takes at once, and with `datum_batching` one process at most; 2000 is the most.",
            {"number": 100},
            "by the number of datums and workers",
        ),
        "datum_timeout": Field("A try that takes longer is ended and has failed.", "5m", "none"),
        "job_timeout": Field("A job that takes longer is ended and has failed.", "2h", "none"),
        "salt": Field(
            "Part of what says whether a datum was done before; mostly left to the server.",
            "a1b2",
            "chosen by the server",
        ),
        "datum_tries": Field("How often a datum is tried before it has failed.", 5, "`3`"),
        "scheduling_spec": Field("On which nodes pods run.", {"nodeSelector": {"disk": "fast"}}, kubernetes=True),
        "pod_spec": Field("A JSON merge patch of the pods, as a string.", '{"dnsPolicy": "Default"}', kubernetes=True),
        "pod_patch": Field(
            "A JSON patch (RFC 6902) of the pods, as a string, applied after `podSpec`.",
            '[{"op": "add", "path": "/hostNetwork", "value": true}]',
            kubernetes=True,
        ),
        "spec_commit": Field(
            "About the call, when a server is restored; ignored here.", {"id": "0123456789abcdef0123456789abcdef"}
        ),
        "metadata": Field("Labels and annotations of pods.", {"labels": {"team": "vision"}}, kubernetes=True),
        "reprocess_spec": Field(
            "`every_job` skips nothing; `until_success` skips datums that went well before.",
            "every_job",
            "`until_success`",
        ),
        "autoscaling": Field(
            "No workers while there is nothing to do, then as many as there is work for.", True, "`false`"
        ),
        "tolerations": Field("Taints that pods put up with.", [{"key": "gpu", "operator": "EXISTS"}], kubernetes=True),
        "sidecar_resource_requests": Field(
            "The same as `resourceRequests` for the container beside the code.", _SPARE, kubernetes=True
        ),
        "dry_run": Field("About the call: check, answer with the effective spec, change nothing.", True, "`false`"),
        "determined": Field("Workspaces that the code may use.", {"workspaces": ["vision"]}, kubernetes=True),
        "maximum_expected_uptime": Field("With autoscaling: workers that are up for longer are an alert.", "12h"),
        "trunkline": Field("Our own fields.", {"writableInputs": True}),
    },
    "pipeline": {
        "name": Field("1 to 51 letters, digits, dashes and underscores. The output repo has the same name.", "edges"),
        "project": Field("The project it belongs to.", {"name": "vision"}, "the active context's project"),
    },
    "project": {"name": Field("Its name.", "vision", "`default`")},
    "tf_job": {"tf_job": Field("Refused.", "{}")},
    "transform": {
        "image": Field("The image that the code runs in. Its own command is not used.", "edges:1.2", "`ubuntu:20.04`"),
        "cmd": Field("The program and its arguments; no shell, unless it is one.", ["python3", "/edges.py"]),
        "err_cmd": Field("Runs after a try that failed. If it ends well, the datum counts as recovered.", ["true"]),
        "env": Field("Environment variables of the code.", {"THRESHOLD": "0.5"}),
        "secrets": Field("Secrets for the code.", [{"name": "token", "key": "value", "envVar": "TOKEN"}]),
        "image_pull_secrets": Field(
            "Secrets that let the image be pulled, as `docker login` writes them.", ["registry"]
        ),
        "stdin": Field("Lines that `cmd` reads, each ended.", ["cp /pfs/images/* /pfs/out"]),
        "err_stdin": Field("Lines that `errCmd` reads.", ["echo bad > /pfs/out/report"]),
        "accept_return_code": Field("Exit codes that count as success beside 0.", [3]),
        "debug": Field("Kept for other servers: the log says in any case how datums are run.", True, "`false`"),
        "user": Field(
            "Who the code runs as: a name or a number, and a group after a colon.", "1000:1000", "the image's user"
        ),
        "working_dir": Field("Where the code starts.", "/app", "the image's working directory"),
        "dockerfile": Field(
            "What `pachctl create pipeline --build` builds the image from: a Dockerfile or its folder, seen from the "
            "spec's file.",
            "docker/edges",
        ),
        "memory_volume": Field(
            "`/pfs/out` lies in memory and holds as much as the memory limit, or half of the machine's.",
            True,
            "`false`",
        ),
        "datum_batching": Field("The code is started once and asks for one datum after the other.", True, "`false`"),
    },
    "secret": {
        "name": Field("The secret.", "token"),
        "key": Field("The key in it; needed with `envVar`.", "value"),
        "mount_path": Field("The folder that shows its keys as files.", "/secrets/token"),
        "env_var": Field("The environment variable that holds the key's value.", "TOKEN"),
    },
    "parallelism_spec": {"constant": Field("The number of workers; 0 is 1.", 4)},
    "egress": {
        "URL": Field("`s3://`, `gs://` or `wasb://`, with a prefix for the paths.", "s3://bucket/edges"),
        "object_storage": Field("The same, as an object.", {"url": "s3://bucket/edges"}),
        "sql_database": Field("Rows into tables.", _SQL),
    },
    "object_storage": {
        "url": Field("`s3://`, `gs://` or `wasb://`, with a prefix for the paths.", "s3://bucket/edges")
    },
    "sql_database": {
        "url": Field("`postgresql://`, `mysql://`, `snowflake://` or `sqlite://`, without the password.", _SQL["url"]),
        "file_format": Field("How rows are written in the files.", _SQL["fileFormat"]),
        "secret": Field("Where the password is.", _SQL["secret"]),
    },
    "file_format": {
        "type": Field("`CSV`, `JSON` (an object a line) or `PARQUET`.", "CSV"),
        "columns": Field(
            "The columns by name; a CSV file then begins with such a line. Else: in the table's order.",
            ["day", "total"],
        ),
    },
    "sql_secret": {"name": Field("The secret.", "reports-db"), "key": Field("The key in it.", "password")},
    "resources": {
        "cpu": Field("Cores; parts of one are allowed.", 0.5),
        "memory": Field("Bytes, with a unit such as `Mi` or `G`.", "256Mi"),
        "gpu": Field("Devices; in limits.", {"type": "nvidia.com/gpu", "number": 1}),
        "disk": Field("Bytes on disk.", "10Gi"),
    },
    "gpu": {"type": Field("What kind of device.", "nvidia.com/gpu"), "number": Field("How many.", 1)},
    "service": {
        "internal_port": Field("The port that the code listens on.", 8080),
        "external_port": Field("The port that clients reach; 30000 to 32767 on nodes.", 30080),
        "ip": Field("The address of the service, in the cluster or of its load balancer.", "10.0.0.7", kubernetes=True),
        "type": Field(
            "`ClusterIP`, `NodePort` or `LoadBalancer`: where a cluster lets the port be reached from. Elsewhere it is "
            "a port of the machine, whatever this says.",
            "ClusterIP",
            "`NodePort`",
        ),
    },
    "spout": {"service": Field("A port that the code listens on.", _SERVICE)},
    "datum_set_spec": {
        "number": Field("At most so many datums.", 100),
        "size_bytes": Field("No more datums once these have so many bytes of input.", 1000000000),
        "per_worker": Field("So many sets for each worker; not together with the others.", 8),
    },
    "scheduling_spec": {
        "node_selector": Field("Labels that a node must have.", {"disk": "fast"}),
        "priority_class_name": Field("The priority class of the pods.", "batch"),
    },
    "spec_commit": {
        "repo": Field("Its repo.", {"name": "edges", "type": "spec"}),
        "branch": Field("Its branch.", {"name": "master"}),
        "id": Field("Its id.", "0123456789abcdef0123456789abcdef"),
    },
    "repo": {
        "name": Field("Its name.", "edges"),
        "type": Field("`user`, `meta` or `spec`.", "spec"),
        "project": Field("Its project.", {"name": "vision"}),
    },
    "branch": {"repo": Field("Its repo.", {"name": "edges"}), "name": Field("Its name.", "master")},
    "metadata": {
        "annotations": Field("Annotations. Names that begin with `trunkline/` are our own fields.", {"owner": "ada"}),
        "labels": Field("Labels, in the syntax of Kubernetes.", {"team": "vision"}),
    },
    "toleration": {
        "key": Field("The taint's key.", "gpu"),
        "operator": Field("`EXISTS`, or `EQUAL` to the value.", "EXISTS"),
        "value": Field("The taint's value.", "yes"),
        "effect": Field("Which effect of the taint.", "NO_SCHEDULE", "`ALL_EFFECTS`"),
        "toleration_seconds": Field("For how long, with `NO_EXECUTE`.", 60),
    },
    "determined": {"workspaces": Field("Their names.", ["vision"])},
    "trunkline": {
        "writable_inputs": Field("Datums get copies of their inputs that the code may change.", True, "`false`"),
        "on_failure": Field(
            "What a datum does that fails: `fail` its job, or `skip`: the job succeeds without it, and the next one "
            "tries it again.",
            "skip",
            "`fail`",
        ),
        "limit": Field(
            "With `skip`: how many datums of a job may fail, as a number or a share; beyond it the job fails.",
            "5%",
            "all",
        ),
        "runner": Field(
            "Where the code runs: as a `process`, or in a `container` of the image.",
            "process",
            "a container where an engine answers, the image is not registered, and the spec names one",
        ),
    },
}
