// Two pipelines: one adds up each group, one puts the sums of all groups into one file.
function(name, minus="")
  local grouped(repo) = { pfs: { repo: repo, glob: "/*_store-(*).txt", groupBy: "$1" } };
  [
    {
      pipeline: { name: name },
      description: "Purchases of each store" + (if minus == "" then "" else ", less " + minus),
      transform: {
        cmd: ["sh", "-eu"],
        stdin: [
          "plus=$(cat /pfs/purchases/* 2>/dev/null | awk '{ s += $1 } END { print s + 0 }')",
          "minus=$(cat /pfs/returns/* 2>/dev/null | awk '{ s += $1 } END { print s + 0 }')",
          "echo $((plus - minus)) > /pfs/out/${PACH_DATUM_purchases_GROUP_BY:-$PACH_DATUM_returns_GROUP_BY}",
        ],
      },
      input: { group: [grouped("purchases")] + (if minus == "" then [] else [grouped(minus)]) },
    },
    {
      pipeline: { name: name + "-all" },
      transform: { cmd: ["sh", "-eu"], stdin: ["cat /pfs/%s/* | sort -n > /pfs/out/all" % name] },
      input: { pfs: { repo: name, glob: "/" } },
    },
  ]
