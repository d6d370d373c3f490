CREATE TABLE awaited (
	cycle BIGINT NOT NULL,
	gen BIGINT NOT NULL,
	CONSTRAINT pk_awaited PRIMARY KEY (cycle, gen)
);

CREATE INDEX awaited_by_gen ON awaited (gen);

CREATE TABLE cache_entries (
	key TEXT COLLATE "C" NOT NULL,
	tag TEXT COLLATE "C" NOT NULL,
	value BYTEA NOT NULL,
	CONSTRAINT pk_cache_entries PRIMARY KEY (key)
);

CREATE INDEX ix_cache_entries_tag ON cache_entries (tag);

CREATE TABLE chunks (
	hash BYTEA NOT NULL,
	gen BIGINT NOT NULL,
	size_bytes BIGINT NOT NULL,
	stored_bytes BIGINT NOT NULL,
	condemned BIGINT,
	damaged BOOLEAN DEFAULT false NOT NULL,
	live_bytes BIGINT,
	CONSTRAINT pk_chunks PRIMARY KEY (hash, gen)
);

CREATE INDEX chunks_condemned ON chunks (condemned);

CREATE UNIQUE INDEX chunks_one_per_hash ON chunks (hash);

CREATE TABLE cluster (
	id INTEGER NOT NULL,
	metadata TEXT COLLATE "C" NOT NULL,
	CONSTRAINT pk_cluster PRIMARY KEY (id),
	CONSTRAINT cluster_is_one_row CHECK (id = 1)
);

CREATE TABLE collector (
	id INTEGER NOT NULL,
	cycle BIGINT NOT NULL,
	noted BIGINT NOT NULL,
	doomed_through BIGINT NOT NULL,
	tick BIGINT NOT NULL,
	fence BIGINT NOT NULL,
	CONSTRAINT pk_collector PRIMARY KEY (id),
	CONSTRAINT collector_is_one_row CHECK (id = 1)
);

CREATE TABLE container_images (
	digest VARCHAR(64) COLLATE "C" NOT NULL,
	env TEXT COLLATE "C" NOT NULL,
	working_dir TEXT COLLATE "C" NOT NULL,
	CONSTRAINT pk_container_images PRIMARY KEY (digest)
);

CREATE TABLE cursors (
	name VARCHAR(64) COLLATE "C" NOT NULL,
	position BIGINT NOT NULL,
	fence BIGINT NOT NULL,
	CONSTRAINT pk_cursors PRIMARY KEY (name)
);

CREATE TABLE doomed_blobs (
	name TEXT COLLATE "C" NOT NULL,
	doom BIGINT NOT NULL,
	CONSTRAINT pk_doomed_blobs PRIMARY KEY (name)
);

CREATE TABLE doomed_chunks (
	hash BYTEA NOT NULL,
	gen BIGINT NOT NULL,
	doom BIGINT NOT NULL,
	CONSTRAINT pk_doomed_chunks PRIMARY KEY (hash, gen)
);

CREATE TABLE events (
	seq BIGSERIAL NOT NULL,
	topic VARCHAR(64) COLLATE "C" NOT NULL,
	payload TEXT COLLATE "C" NOT NULL,
	at_us BIGINT NOT NULL,
	CONSTRAINT pk_events PRIMARY KEY (seq)
);

CREATE TABLE filesets (
	id VARCHAR(32) COLLATE "C" NOT NULL,
	gen BIGINT NOT NULL,
	rows BIGINT NOT NULL,
	size_bytes BIGINT NOT NULL,
	sealed_us BIGINT NOT NULL,
	chunks BYTEA,
	body BYTEA NOT NULL,
	CONSTRAINT pk_filesets PRIMARY KEY (id)
);

CREATE TABLE images (
	digest VARCHAR(64) COLLATE "C" NOT NULL,
	spec TEXT COLLATE "C" NOT NULL,
	files BIGINT NOT NULL,
	size_bytes BIGINT NOT NULL,
	created_us BIGINT NOT NULL,
	CONSTRAINT pk_images PRIMARY KEY (digest)
);

CREATE TABLE leader (
	id INTEGER NOT NULL,
	epoch BIGINT NOT NULL,
	holder TEXT COLLATE "C" NOT NULL,
	until_us BIGINT NOT NULL,
	CONSTRAINT pk_leader PRIMARY KEY (id),
	CONSTRAINT leader_is_one_row CHECK (id = 1)
);

CREATE TABLE lease_clock (
	id INTEGER NOT NULL,
	seconds BIGINT NOT NULL,
	CONSTRAINT pk_lease_clock PRIMARY KEY (id),
	CONSTRAINT lease_clock_is_one_row CHECK (id = 1)
);

CREATE TABLE leases (
	id VARCHAR(32) COLLATE "C" NOT NULL,
	ends_s BIGINT NOT NULL,
	size_bytes BIGINT NOT NULL,
	created_us BIGINT NOT NULL,
	CONSTRAINT pk_leases PRIMARY KEY (id)
);

CREATE INDEX leases_by_end ON leases (ends_s);

CREATE TABLE log_segments (
	seq BIGSERIAL NOT NULL,
	pipeline BIGINT NOT NULL,
	job BIGINT,
	worker TEXT COLLATE "C" NOT NULL,
	first_us BIGINT NOT NULL,
	last_us BIGINT NOT NULL,
	lines INTEGER NOT NULL,
	data BYTEA NOT NULL,
	CONSTRAINT pk_log_segments PRIMARY KEY (seq)
);

CREATE INDEX log_segments_by_job ON log_segments (job, seq);

CREATE INDEX log_segments_by_pipeline ON log_segments (pipeline, seq);

CREATE TABLE pins (
	process VARCHAR(64) COLLATE "C" NOT NULL,
	since BIGINT NOT NULL,
	renewed_tick BIGINT NOT NULL,
	CONSTRAINT pk_pins PRIMARY KEY (process)
);

CREATE TABLE pipelines (
	key BIGSERIAL NOT NULL,
	project VARCHAR(51) COLLATE "C" NOT NULL,
	name VARCHAR(51) COLLATE "C" NOT NULL,
	version INTEGER NOT NULL,
	state VARCHAR(12) COLLATE "C" NOT NULL,
	reason TEXT COLLATE "C" NOT NULL,
	stopped BOOLEAN NOT NULL,
	up_us BIGINT,
	kind VARCHAR(12) COLLATE "C" NOT NULL,
	created_us BIGINT NOT NULL,
	updated_us BIGINT NOT NULL,
	metadata TEXT COLLATE "C" NOT NULL,
	CONSTRAINT pk_pipelines PRIMARY KEY (key),
	CONSTRAINT pipelines_address UNIQUE (project, name)
);

CREATE TABLE pod_images (
	worker TEXT COLLATE "C" NOT NULL,
	digest VARCHAR(64) COLLATE "C" NOT NULL,
	CONSTRAINT pk_pod_images PRIMARY KEY (worker)
);

CREATE TABLE projects (
	name VARCHAR(51) COLLATE "C" NOT NULL,
	description TEXT COLLATE "C" NOT NULL,
	created_us BIGINT NOT NULL,
	created_by TEXT COLLATE "C" NOT NULL,
	metadata TEXT COLLATE "C" NOT NULL,
	CONSTRAINT pk_projects PRIMARY KEY (name)
);

CREATE TABLE purges (
	key BIGSERIAL NOT NULL,
	id VARCHAR(32) COLLATE "C" NOT NULL,
	project VARCHAR(51) COLLATE "C" NOT NULL,
	repo VARCHAR(63) COLLATE "C" NOT NULL,
	pattern TEXT COLLATE "C" NOT NULL,
	shown TEXT COLLATE "C" NOT NULL,
	reason TEXT COLLATE "C" NOT NULL,
	stage VARCHAR(12) COLLATE "C" NOT NULL,
	trouble TEXT COLLATE "C" NOT NULL,
	oldest BIGINT NOT NULL,
	commits BIGINT NOT NULL,
	files BIGINT NOT NULL,
	size_bytes BIGINT NOT NULL,
	datums BIGINT NOT NULL,
	started_us BIGINT NOT NULL,
	gone_us BIGINT,
	digests BYTEA,
	kept_files BIGINT NOT NULL,
	kept TEXT COLLATE "C" NOT NULL,
	ended_leases INTEGER NOT NULL,
	CONSTRAINT pk_purges PRIMARY KEY (key),
	CONSTRAINT uq_purges_id UNIQUE (id)
);

CREATE TABLE schema_version (
	version INTEGER NOT NULL,
	CONSTRAINT pk_schema_version PRIMARY KEY (version)
);

CREATE TABLE secrets (
	name VARCHAR(253) COLLATE "C" NOT NULL,
	type VARCHAR(253) COLLATE "C" NOT NULL,
	keys TEXT COLLATE "C" NOT NULL,
	sealed BYTEA NOT NULL,
	created_us BIGINT NOT NULL,
	CONSTRAINT pk_secrets PRIMARY KEY (name)
);

CREATE TABLE sessions (
	gen BIGSERIAL NOT NULL,
	kind VARCHAR(32) COLLATE "C" NOT NULL,
	open BOOLEAN NOT NULL,
	renewed_tick BIGINT,
	opened_us BIGINT NOT NULL,
	CONSTRAINT pk_sessions PRIMARY KEY (gen)
);

CREATE INDEX sessions_open ON sessions (gen);

CREATE TABLE spec_defaults (
	project VARCHAR(51) COLLATE "C" NOT NULL,
	document TEXT COLLATE "C" NOT NULL,
	created_us BIGINT NOT NULL,
	created_by TEXT COLLATE "C" NOT NULL,
	CONSTRAINT pk_spec_defaults PRIMARY KEY (project)
);

CREATE TABLE together (
	id INTEGER NOT NULL,
	cluster_id VARCHAR(32) COLLATE "C" NOT NULL,
	deployment_id VARCHAR(32) COLLATE "C" NOT NULL,
	storage TEXT COLLATE "C" NOT NULL,
	folder VARCHAR(32) COLLATE "C" NOT NULL,
	key_digest VARCHAR(64) COLLATE "C" NOT NULL,
	CONSTRAINT pk_together PRIMARY KEY (id),
	CONSTRAINT together_is_one_row CHECK (id = 1)
);

CREATE TABLE transactions (
	id VARCHAR(32) COLLATE "C" NOT NULL,
	started_us BIGINT NOT NULL,
	CONSTRAINT pk_transactions PRIMARY KEY (id)
);

CREATE TABLE cache_leases (
	key TEXT COLLATE "C" NOT NULL,
	lease VARCHAR(32) COLLATE "C" NOT NULL,
	CONSTRAINT pk_cache_leases PRIMARY KEY (key, lease),
	CONSTRAINT fk_cache_leases_key FOREIGN KEY(key) REFERENCES cache_entries (key),
	CONSTRAINT fk_cache_leases_lease FOREIGN KEY(lease) REFERENCES leases (id)
);

CREATE INDEX ix_cache_leases_lease ON cache_leases (lease);

CREATE TABLE cron_inputs (
	key BIGSERIAL NOT NULL,
	pipeline BIGINT NOT NULL,
	repo BIGINT NOT NULL,
	made BOOLEAN NOT NULL,
	spec TEXT COLLATE "C" NOT NULL,
	overwrite BOOLEAN NOT NULL,
	start_us BIGINT,
	ticked_us BIGINT NOT NULL,
	asked_us BIGINT NOT NULL,
	due_us BIGINT,
	CONSTRAINT pk_cron_inputs PRIMARY KEY (key),
	CONSTRAINT cron_inputs_repo UNIQUE (repo),
	CONSTRAINT fk_cron_inputs_pipeline FOREIGN KEY(pipeline) REFERENCES pipelines (key)
);

CREATE INDEX cron_inputs_due ON cron_inputs (due_us);

CREATE INDEX ix_cron_inputs_pipeline ON cron_inputs (pipeline);

CREATE TABLE fileset_blobs (
	name TEXT COLLATE "C" NOT NULL,
	fileset_id VARCHAR(32) COLLATE "C" NOT NULL,
	CONSTRAINT pk_fileset_blobs PRIMARY KEY (name, fileset_id),
	CONSTRAINT fk_fileset_blobs_fileset_id FOREIGN KEY(fileset_id) REFERENCES filesets (id)
);

CREATE INDEX ix_fileset_blobs_fileset_id ON fileset_blobs (fileset_id);

CREATE TABLE holders (
	fileset_id VARCHAR(32) COLLATE "C" NOT NULL,
	kind VARCHAR(32) COLLATE "C" NOT NULL,
	key VARCHAR(128) COLLATE "C" NOT NULL,
	CONSTRAINT pk_holders PRIMARY KEY (fileset_id, kind, key),
	CONSTRAINT fk_holders_fileset_id FOREIGN KEY(fileset_id) REFERENCES filesets (id)
);

CREATE INDEX holders_by_key ON holders (kind, key);

CREATE TABLE image_filesets (
	digest VARCHAR(64) COLLATE "C" NOT NULL,
	position INTEGER NOT NULL,
	fileset VARCHAR(32) COLLATE "C" NOT NULL,
	CONSTRAINT pk_image_filesets PRIMARY KEY (digest, position),
	CONSTRAINT fk_image_filesets_digest FOREIGN KEY(digest) REFERENCES images (digest)
);

CREATE TABLE image_names (
	name TEXT COLLATE "C" NOT NULL,
	digest VARCHAR(64) COLLATE "C" NOT NULL,
	moved_us BIGINT NOT NULL,
	CONSTRAINT pk_image_names PRIMARY KEY (name),
	CONSTRAINT fk_image_names_digest FOREIGN KEY(digest) REFERENCES images (digest)
);

CREATE INDEX ix_image_names_digest ON image_names (digest);

CREATE TABLE jobs (
	seq BIGSERIAL NOT NULL,
	pipeline BIGINT NOT NULL,
	id VARCHAR(32) COLLATE "C" NOT NULL,
	version INTEGER NOT NULL,
	salt VARCHAR(64) COLLATE "C" NOT NULL,
	output_commit BIGINT NOT NULL,
	meta_commit BIGINT,
	state VARCHAR(12) COLLATE "C" NOT NULL,
	phase VARCHAR(12) COLLATE "C" NOT NULL,
	gen INTEGER NOT NULL,
	base BIGINT,
	base_planned BOOLEAN NOT NULL,
	base_ending VARCHAR(4) COLLATE "C",
	settling BOOLEAN NOT NULL,
	egress BOOLEAN NOT NULL,
	may_fail VARCHAR(24) COLLATE "C" NOT NULL,
	placed BIGINT NOT NULL,
	open BIGINT NOT NULL,
	undecided BIGINT NOT NULL,
	processed BIGINT NOT NULL,
	failed BIGINT NOT NULL,
	recovered BIGINT NOT NULL,
	skipped BIGINT NOT NULL,
	total BIGINT NOT NULL,
	restart INTEGER NOT NULL,
	pushes INTEGER NOT NULL,
	held INTEGER NOT NULL,
	reason TEXT COLLATE "C" NOT NULL,
	error TEXT COLLATE "C" NOT NULL,
	first_failed TEXT COLLATE "C" NOT NULL,
	table_gen INTEGER NOT NULL,
	datums TEXT COLLATE "C",
	adopted TEXT COLLATE "C" NOT NULL,
	timeout_us BIGINT NOT NULL,
	tries INTEGER NOT NULL,
	parallelism INTEGER NOT NULL,
	gpus INTEGER NOT NULL,
	set_datums BIGINT NOT NULL,
	set_bytes BIGINT NOT NULL,
	sets_per_worker BIGINT NOT NULL,
	download_us BIGINT NOT NULL,
	process_us BIGINT NOT NULL,
	upload_us BIGINT NOT NULL,
	download_bytes BIGINT NOT NULL,
	upload_bytes BIGINT NOT NULL,
	cpu_us BIGINT NOT NULL,
	memory_bytes BIGINT NOT NULL,
	created_us BIGINT NOT NULL,
	started_us BIGINT,
	finished_us BIGINT,
	deadline_us BIGINT,
	look_from BIGINT,
	CONSTRAINT pk_jobs PRIMARY KEY (seq),
	CONSTRAINT jobs_address UNIQUE (pipeline, id),
	CONSTRAINT fk_jobs_pipeline FOREIGN KEY(pipeline) REFERENCES pipelines (key)
);

CREATE INDEX jobs_by_base ON jobs (base);

CREATE INDEX jobs_by_commit ON jobs (output_commit);

CREATE INDEX jobs_by_id ON jobs (id);

CREATE INDEX jobs_by_meta_commit ON jobs (meta_commit);

CREATE INDEX jobs_by_phase ON jobs (phase, seq);

CREATE INDEX jobs_by_pipeline ON jobs (pipeline, seq);

CREATE INDEX jobs_by_state ON jobs (pipeline, state, seq);

CREATE INDEX jobs_open ON jobs (seq);

CREATE INDEX jobs_open_of ON jobs (pipeline, seq);

CREATE TABLE lease_layers (
	lease VARCHAR(32) COLLATE "C" NOT NULL,
	position INTEGER NOT NULL,
	fileset VARCHAR(32) COLLATE "C" NOT NULL,
	CONSTRAINT pk_lease_layers PRIMARY KEY (lease, position),
	CONSTRAINT fk_lease_layers_lease FOREIGN KEY(lease) REFERENCES leases (id)
);

CREATE TABLE pipeline_versions (
	pipeline BIGINT NOT NULL,
	version INTEGER NOT NULL,
	spec_commit VARCHAR(32) COLLATE "C" NOT NULL,
	salt VARCHAR(64) COLLATE "C" NOT NULL,
	user_spec TEXT COLLATE "C" NOT NULL,
	effective_spec TEXT COLLATE "C" NOT NULL,
	runner VARCHAR(16) COLLATE "C" NOT NULL,
	image_digest VARCHAR(64) COLLATE "C" NOT NULL,
	runner_note TEXT COLLATE "C" NOT NULL,
	created_us BIGINT NOT NULL,
	created_by TEXT COLLATE "C" NOT NULL,
	CONSTRAINT pk_pipeline_versions PRIMARY KEY (pipeline, version),
	CONSTRAINT fk_pipeline_versions_pipeline FOREIGN KEY(pipeline) REFERENCES pipelines (key)
);

CREATE INDEX pipeline_versions_by_commit ON pipeline_versions (spec_commit);

CREATE INDEX pipeline_versions_without_image ON pipeline_versions (pipeline);

CREATE TABLE purge_commits (
	purge BIGINT NOT NULL,
	commit_seq BIGINT NOT NULL,
	project VARCHAR(51) COLLATE "C" NOT NULL,
	repo VARCHAR(63) COLLATE "C" NOT NULL,
	commit_id VARCHAR(32) COLLATE "C" NOT NULL,
	files BIGINT NOT NULL,
	size_bytes BIGINT NOT NULL,
	datums BIGINT NOT NULL,
	paths TEXT COLLATE "C" NOT NULL,
	CONSTRAINT pk_purge_commits PRIMARY KEY (purge, commit_seq),
	CONSTRAINT fk_purge_commits_purge FOREIGN KEY(purge) REFERENCES purges (key)
);

CREATE INDEX purge_commits_by_commit ON purge_commits (commit_seq);

CREATE TABLE purge_remains (
	purge BIGINT NOT NULL,
	kind VARCHAR(8) COLLATE "C" NOT NULL,
	name TEXT COLLATE "C" NOT NULL,
	CONSTRAINT pk_purge_remains PRIMARY KEY (purge, kind, name),
	CONSTRAINT fk_purge_remains_purge FOREIGN KEY(purge) REFERENCES purges (key)
);

CREATE TABLE purge_repos (
	purge BIGINT NOT NULL,
	position INTEGER NOT NULL,
	repo BIGINT NOT NULL,
	done BIGINT NOT NULL,
	CONSTRAINT pk_purge_repos PRIMARY KEY (purge, position),
	CONSTRAINT fk_purge_repos_purge FOREIGN KEY(purge) REFERENCES purges (key)
);

CREATE INDEX purge_repos_by_repo ON purge_repos (repo);

CREATE TABLE repos (
	id BIGSERIAL NOT NULL,
	project VARCHAR(51) COLLATE "C" NOT NULL,
	name VARCHAR(63) COLLATE "C" NOT NULL,
	type VARCHAR(8) COLLATE "C" NOT NULL,
	description TEXT COLLATE "C" NOT NULL,
	created_us BIGINT NOT NULL,
	metadata TEXT COLLATE "C" NOT NULL,
	CONSTRAINT pk_repos PRIMARY KEY (id),
	CONSTRAINT repos_address UNIQUE (project, name, type),
	CONSTRAINT fk_repos_project FOREIGN KEY(project) REFERENCES projects (name)
);

CREATE TABLE transaction_requests (
	transaction VARCHAR(32) COLLATE "C" NOT NULL,
	position INTEGER NOT NULL,
	request BYTEA NOT NULL,
	response BYTEA NOT NULL,
	checksum BIGINT NOT NULL,
	CONSTRAINT pk_transaction_requests PRIMARY KEY (transaction, position),
	CONSTRAINT fk_transaction_requests_transaction FOREIGN KEY(transaction) REFERENCES transactions (id)
);

CREATE TABLE claims (
	id VARCHAR(64) COLLATE "C" NOT NULL,
	job BIGINT NOT NULL,
	pipeline BIGINT NOT NULL,
	gen INTEGER NOT NULL,
	first BIGINT NOT NULL,
	last BIGINT NOT NULL,
	done BIGINT NOT NULL,
	fence INTEGER NOT NULL,
	worker TEXT COLLATE "C",
	session BIGINT,
	leased_us BIGINT,
	ticks_left INTEGER NOT NULL,
	row BIGINT,
	row_started_us BIGINT,
	restart TEXT COLLATE "C",
	finish BOOLEAN NOT NULL,
	CONSTRAINT pk_claims PRIMARY KEY (id),
	CONSTRAINT fk_claims_job FOREIGN KEY(job) REFERENCES jobs (seq)
);

CREATE INDEX claims_by_job ON claims (job, first);

CREATE INDEX claims_by_worker ON claims (worker);

CREATE TABLE commits (
	seq BIGSERIAL NOT NULL,
	repo BIGINT NOT NULL,
	id VARCHAR(32) COLLATE "C" NOT NULL,
	branch_name VARCHAR(255) COLLATE "C" NOT NULL,
	origin VARCHAR(4) COLLATE "C" NOT NULL,
	state VARCHAR(9) COLLATE "C" NOT NULL,
	parent BIGINT,
	base BIGINT,
	base_fixed BOOLEAN NOT NULL,
	merged_from BIGINT,
	open_inputs INTEGER NOT NULL,
	started_us BIGINT NOT NULL,
	finishing_us BIGINT,
	finished_us BIGINT,
	elsewhere_us BIGINT,
	error TEXT COLLATE "C" NOT NULL,
	description TEXT COLLATE "C" NOT NULL,
	size_upper_bytes BIGINT NOT NULL,
	size_bytes BIGINT,
	files BIGINT,
	forgotten_us BIGINT,
	version INTEGER NOT NULL,
	created_by TEXT COLLATE "C" NOT NULL,
	updated_us BIGINT NOT NULL,
	metadata TEXT COLLATE "C" NOT NULL,
	CONSTRAINT pk_commits PRIMARY KEY (seq),
	CONSTRAINT commits_address UNIQUE (repo, id),
	CONSTRAINT fk_commits_repo FOREIGN KEY(repo) REFERENCES repos (id),
	CONSTRAINT fk_commits_parent FOREIGN KEY(parent) REFERENCES commits (seq),
	CONSTRAINT fk_commits_base FOREIGN KEY(base) REFERENCES commits (seq)
);

CREATE INDEX commits_by_base ON commits (base);

CREATE INDEX commits_by_id ON commits (id);

CREATE INDEX commits_by_merge ON commits (merged_from);

CREATE INDEX commits_by_parent ON commits (parent);

CREATE INDEX commits_by_repo ON commits (repo, seq);

CREATE INDEX commits_by_state ON commits (state, seq);

CREATE TABLE datum_deaths (
	job BIGINT NOT NULL,
	gen INTEGER NOT NULL,
	row BIGINT NOT NULL,
	deaths INTEGER NOT NULL,
	why TEXT COLLATE "C" NOT NULL,
	CONSTRAINT pk_datum_deaths PRIMARY KEY (job, gen, row),
	CONSTRAINT fk_datum_deaths_job FOREIGN KEY(job) REFERENCES jobs (seq)
);

CREATE TABLE instructions (
	serial BIGSERIAL NOT NULL,
	job BIGINT NOT NULL,
	work VARCHAR(12) COLLATE "C" NOT NULL,
	gen INTEGER NOT NULL,
	base BIGINT,
	error TEXT COLLATE "C" NOT NULL,
	not_before_us BIGINT NOT NULL,
	CONSTRAINT pk_instructions PRIMARY KEY (serial),
	CONSTRAINT instructions_of_job UNIQUE (job, work),
	CONSTRAINT fk_instructions_job FOREIGN KEY(job) REFERENCES jobs (seq)
);

CREATE TABLE reports (
	seq BIGSERIAL NOT NULL,
	job BIGINT NOT NULL,
	gen INTEGER NOT NULL,
	first BIGINT NOT NULL,
	last BIGINT NOT NULL,
	output TEXT COLLATE "C" NOT NULL,
	results BYTEA NOT NULL,
	CONSTRAINT pk_reports PRIMARY KEY (seq),
	CONSTRAINT reports_of_job UNIQUE (job, gen, first),
	CONSTRAINT fk_reports_job FOREIGN KEY(job) REFERENCES jobs (seq)
);

CREATE TABLE branches (
	id BIGSERIAL NOT NULL,
	repo BIGINT NOT NULL,
	name VARCHAR(255) COLLATE "C" NOT NULL,
	head BIGINT NOT NULL,
	created_us BIGINT NOT NULL,
	updated_us BIGINT NOT NULL,
	created_by TEXT COLLATE "C" NOT NULL,
	trigger TEXT COLLATE "C",
	trigger_source VARCHAR(255) COLLATE "C",
	due_us BIGINT,
	metadata TEXT COLLATE "C" NOT NULL,
	CONSTRAINT pk_branches PRIMARY KEY (id),
	CONSTRAINT branches_address UNIQUE (repo, name),
	CONSTRAINT fk_branches_repo FOREIGN KEY(repo) REFERENCES repos (id),
	CONSTRAINT fk_branches_head FOREIGN KEY(head) REFERENCES commits (seq)
);

CREATE INDEX branches_by_head ON branches (head);

CREATE INDEX branches_by_trigger ON branches (repo, trigger_source);

CREATE INDEX branches_due ON branches (due_us);

CREATE TABLE commit_layers (
	commit_seq BIGINT NOT NULL,
	position INTEGER NOT NULL,
	fileset VARCHAR(32) COLLATE "C" NOT NULL,
	CONSTRAINT pk_commit_layers PRIMARY KEY (commit_seq, position),
	CONSTRAINT fk_commit_layers_commit_seq FOREIGN KEY(commit_seq) REFERENCES commits (seq)
);

CREATE TABLE commit_provenance (
	commit_seq BIGINT NOT NULL,
	upstream BIGINT NOT NULL,
	CONSTRAINT pk_commit_provenance PRIMARY KEY (commit_seq, upstream),
	CONSTRAINT fk_commit_provenance_commit_seq FOREIGN KEY(commit_seq) REFERENCES commits (seq),
	CONSTRAINT fk_commit_provenance_upstream FOREIGN KEY(upstream) REFERENCES commits (seq)
);

CREATE INDEX commit_provenance_by_upstream ON commit_provenance (upstream);

CREATE TABLE commit_runs (
	commit_seq BIGINT NOT NULL,
	position INTEGER NOT NULL,
	fileset VARCHAR(32) COLLATE "C" NOT NULL,
	CONSTRAINT pk_commit_runs PRIMARY KEY (commit_seq, position),
	CONSTRAINT fk_commit_runs_commit_seq FOREIGN KEY(commit_seq) REFERENCES commits (seq)
);

CREATE TABLE tags (
	repo BIGINT NOT NULL,
	name VARCHAR(255) COLLATE "C" NOT NULL,
	commit_seq BIGINT NOT NULL,
	description TEXT COLLATE "C" NOT NULL,
	created_us BIGINT NOT NULL,
	CONSTRAINT pk_tags PRIMARY KEY (repo, name),
	CONSTRAINT fk_tags_repo FOREIGN KEY(repo) REFERENCES repos (id),
	CONSTRAINT fk_tags_commit_seq FOREIGN KEY(commit_seq) REFERENCES commits (seq)
);

CREATE INDEX ix_tags_commit_seq ON tags (commit_seq);

CREATE TABLE branch_provenance (
	branch BIGINT NOT NULL,
	upstream BIGINT NOT NULL,
	position INTEGER NOT NULL,
	never BOOLEAN NOT NULL,
	CONSTRAINT pk_branch_provenance PRIMARY KEY (branch, upstream),
	CONSTRAINT fk_branch_provenance_branch FOREIGN KEY(branch) REFERENCES branches (id),
	CONSTRAINT fk_branch_provenance_upstream FOREIGN KEY(upstream) REFERENCES branches (id)
);

CREATE INDEX branch_provenance_by_upstream ON branch_provenance (upstream);
