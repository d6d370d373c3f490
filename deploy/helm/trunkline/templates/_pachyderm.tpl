{{- /* What is said at a place of the values, as a text; nothing where nothing is. Of a map or a list: that it is there. */ -}}
{{- define "trunkline.said" -}}
{{- $found := .values -}}
{{- range $step := splitList "." .name -}}
{{- if kindIs "map" $found }}{{ $found = get $found $step }}{{ else }}{{ $found = "" }}{{ end -}}
{{- end -}}
{{- if kindIs "bool" $found }}{{ $found }}
{{- else if or (kindIs "map" $found) (kindIs "slice" $found) }}{{ if $found }}set{{ end }}
{{- else if $found }}{{ $found | toString }}{{ end -}}
{{- end -}}

{{- /* Ends with words what would be another cluster than was asked for. */ -}}
{{- define "trunkline.refused" -}}
{{- $table := .Files.Get "pachyderm.yaml" | fromYaml -}}
{{- range $one := $table.refused -}}
{{- $said := include "trunkline.said" (dict "values" $.Values "name" $one.name) -}}
{{- if and $said (ne $said "false") (or (not $one.like) (regexMatch (default "" $one.like) $said)) -}}
{{- fail (printf "the value %s cannot be kept: %s" $one.name $one.instead) -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{- /* A line for each value that was set and has no effect. */ -}}
{{- define "trunkline.unused" -}}
{{- $table := .Files.Get "pachyderm.yaml" | fromYaml -}}
{{- range $one := $table.unused -}}
{{- if include "trunkline.said" (dict "values" $.Values "name" $one.name) }}
{{ $one.name }} has no effect: {{ $one.why }}
{{- end -}}
{{- end -}}
{{- end -}}
