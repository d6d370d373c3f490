// Two pipelines: one asks, at the times of a cron spec; one fetches what a query then answers, and writes it to a file.
function(
  name,
  url,
  query,
  cronSpec,
  secretName="",
  secretKey="PACHYDERM_SQL_PASSWORD",
  format="csv",
  hasHeader="false",
  outputFile="0000",
  image="sql-ingest:1.0",
)
  assert std.member(["csv", "json"], format) : "format is csv or json, not " + format;
  assert std.member(["true", "false"], hasHeader) : "hasHeader is true or false, not " + hasHeader;
  [
    {
      pipeline: { name: name + "_in" },
      description: "When, and what, to ask " + url,
      transform: {
        image: image,
        cmd: ["python3", "/sql_ingest.py", "ask", "/pfs/tick", "/pfs/out"],
        stdin: [
          std.manifestJsonEx({
            url: url, query: query, format: format, header: hasHeader, file: outputFile,
          }, " "),
        ],
      },
      input: { cron: { name: "tick", spec: cronSpec, overwrite: true } },
    },
    {
      pipeline: { name: name },
      description: "What the query answered last",
      transform: {
        image: image,
        cmd: ["python3", "/sql_ingest.py", "fetch", "/pfs/orders", "/pfs/out"],
        secrets: if secretName == "" then [] else [
          { name: secretName, key: secretKey, envVar: "PACHYDERM_SQL_PASSWORD" },
        ],
      },
      input: { pfs: { name: "orders", repo: name + "_in", glob: "/" } },
    },
  ]
