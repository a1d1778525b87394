// Where GitHub's schemas are stricter than its own example webhooks, which are older than some members. Each line is a
// place in the schemas and what is let go there, so that all 329 examples are valid; nothing else is touched.

const optional = (...names) => (schema) => {
  schema.required = schema.required.filter((name) => !names.includes(name));
};
const nullable = (schema) => {
  schema.type = [schema.type, 'null'];
  if (schema.enum) schema.enum = [...schema.enum, null];
};
const anything = (schema) => {
  for (const keyword of Object.keys(schema)) delete schema[keyword];
};
const anyString = (schema) => {
  delete schema.format;
  delete schema.const;
};
const known = (...names) => (schema) => {
  for (const name of names) schema.properties[name] = true;
};

const CORRECTIONS = [
  ['app/properties/created_at', anyString],
  ['app/properties/updated_at', anyString],
  ['code_scanning_alert$reopened/properties/alert', known('updated_at', 'fixed_at')],
  ['code_scanning_alert$reopened/properties/alert/properties/rule/properties/help', anything],
  ['code_scanning_alert$reopened/properties/alert/properties/rule/properties/tags', anything],
  ['deployment$created', optional('workflow', 'workflow_run')],
  ['discussion_comment$created', optional('installation')],
  ['discussion_comment$created/properties/comment', optional('reactions')],
  ['github-org/properties/avatar_url', anyString],
  ['installation', optional('suspended_at', 'suspended_by')],
  ['installation_repositories$added', optional('requester')],
  ['issue', optional('active_lock_reason', 'reactions')],
  ['issue-comment', optional('performed_via_github_app', 'reactions')],
  ['label', optional('description')],
  ['ping$event/properties/hook', optional('deliveries_url')],
  ['pull-request', optional('auto_merge', 'active_lock_reason')],
  ['pull_request$opened/properties/pull_request/allOf/1', optional('active_lock_reason')],
  [
    'pull-request-review-comment',
    optional('start_line', 'original_start_line', 'original_line', 'line', 'start_side', 'side', 'reactions'),
  ],
  ['pull_request_review_comment$created/properties/pull_request', optional('active_lock_reason')],
  ['release/properties/body', nullable],
  ['release/properties/name', nullable],
  [
    'repository',
    optional('is_template', 'web_commit_signoff_required', 'topics', 'visibility', 'custom_properties'),
  ],
  ['repository-vulnerability-alert-alert', optional('number', 'node_id', 'state')],
  ['repository_vulnerability_alert$create/properties/alert/allOf/1', optional('state')],
  ['security_advisory$published/properties/security_advisory', optional('cvss', 'cwes', 'cve_id')],
  ['simple-pull-request', optional('draft', 'auto_merge', 'active_lock_reason')],
  ['sponsorship-tier', optional('is_one_time', 'is_custom_amount')],
  ['team$added_to_repository', optional('action')],
  ['team_add$event', known('action')],
  ['workflow-job', optional('run_attempt', 'created_at', 'workflow_name', 'head_branch')],
  ['workflow-run', optional('actor', 'triggering_actor', 'path', 'display_title')],
  ['workflow_run$completed/properties/workflow_run/allOf/1/properties/conclusion', nullable],
];

/** The definitions of GitHub's schemas, corrected. */
export function corrected(definitions) {
  const copy = structuredClone(definitions);
  for (const [path, correct] of CORRECTIONS) {
    correct(path.split('/').reduce((schema, name) => schema[name], copy));
  }
  return copy;
}
