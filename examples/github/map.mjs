// From a GitHub webhook to an event: whose it is, what happened, to what. The payload itself is not touched.

import { createHash } from 'node:crypto';

const repository = (payload) => payload.repository.full_name;

/** The entity of that member: by number where people speak of it by number, else by id. */
const of = (name) => (payload) => {
  const { number, id, node_id } = payload[name];
  return number !== undefined && payload.repository ? `${repository(payload)}#${number}` : String(id ?? node_id);
};
const ref = (payload) => `${repository(payload)}:${payload.ref}`;

// GitHub's kind of webhook: our entity's type, where its id is, and what happened where the payload has no `action`
// or a free one.
const KINDS = {
  branch_protection_rule: ['branch_protection_rule', of('rule')],
  check_run: ['check_run', of('check_run')],
  check_suite: ['check_suite', of('check_suite')],
  code_scanning_alert: ['code_scanning_alert', of('alert')],
  commit_comment: ['commit_comment', of('comment')],
  create: ['ref', ref, 'created'],
  delete: ['ref', ref, 'deleted'],
  dependabot_alert: ['dependabot_alert', of('alert')],
  deploy_key: ['deploy_key', of('key')],
  deployment: ['deployment', of('deployment'), 'created'],
  deployment_review: ['workflow_run', of('workflow_run'), 'review_requested'],
  deployment_status: ['deployment', of('deployment'), 'status_changed'],
  discussion: ['discussion', of('discussion')],
  discussion_comment: ['discussion_comment', of('comment')],
  fork: ['repository', repository, 'forked'],
  github_app_authorization: ['app_authorization', (payload) => payload.sender.login],
  gollum: ['wiki', repository, 'edited'],
  installation: ['installation', of('installation')],
  installation_repositories: ['installation_repositories', of('installation')],
  issue_comment: ['issue_comment', of('comment')],
  issues: ['issue', of('issue')],
  label: ['label', of('label')],
  marketplace_purchase: ['marketplace_purchase', (payload) => String(payload.marketplace_purchase.account.id)],
  member: ['member', of('member')],
  membership: ['membership', (payload) => `${payload.team.id}:${payload.member.id}`],
  merge_group: ['merge_group', (payload) => payload.merge_group.head_sha],
  meta: ['hook', (payload) => String(payload.hook_id)],
  milestone: ['milestone', of('milestone')],
  org_block: ['user_block', of('blocked_user')],
  organization: ['organization', (payload) => payload.organization.login],
  package: ['package', of('package')],
  page_build: ['page', (payload) => String(payload.id), 'built'],
  ping: ['hook', (payload) => String(payload.hook_id), 'pinged'],
  project: ['project', of('project')],
  project_card: ['project_card', of('project_card')],
  project_column: ['project_column', of('project_column')],
  projects_v2_item: ['project_item', of('projects_v2_item')],
  public: ['repository', repository, 'published'],
  pull_request: ['pull_request', of('pull_request')],
  pull_request_review: ['pull_request_review', of('review')],
  pull_request_review_comment: ['pull_request_review_comment', of('comment')],
  pull_request_review_thread: ['pull_request_review_thread', of('thread')],
  push: ['ref', ref, 'pushed'],
  release: ['release', of('release')],
  repository: ['repository', repository],
  repository_dispatch: ['repository', repository, 'dispatched'],
  repository_import: ['repository_import', repository, 'finished'],
  repository_vulnerability_alert: ['vulnerability_alert', of('alert')],
  security_advisory: ['security_advisory', (payload) => payload.security_advisory.ghsa_id],
  sponsorship: ['sponsorship', of('sponsorship')],
  star: ['star', repository],
  status: ['commit', (payload) => `${repository(payload)}@${payload.sha}`, 'status_changed'],
  team: ['team', of('team')],
  team_add: ['team', of('team'), 'added_to_repository'],
  watch: ['repository', repository, 'starred'],
  workflow_dispatch: ['workflow', (payload) => `${repository(payload)}:${payload.workflow}`, 'dispatched'],
  workflow_job: ['workflow_job', of('workflow_job')],
  workflow_run: ['workflow_run', of('workflow_run')],
};

// An event is a fact that has happened; where GitHub's word says otherwise, ours does.
const ACTIONS = {
  create: 'created',
  dismiss: 'dismissed',
  in_progress: 'started',
  new_permissions_accepted: 'permissions_accepted',
  pending_tier_change: 'tier_change_scheduled',
  ready_for_review: 'marked_ready_for_review',
  requested_action: 'action_requested',
  resolve: 'resolved',
  suspend: 'suspended',
  synchronize: 'synchronized',
  unsuspend: 'unsuspended',
  waiting: 'held',
};

/** Whose account the webhook speaks of; what concerns all of GitHub belongs to `github`. */
function tenantOf(payload) {
  return (
    payload.organization?.login ??
    payload.repository?.owner?.login ??
    payload.installation?.account?.login ??
    payload.sender?.login ??
    'github'
  );
}

/** What an action of GitHub's is called here. */
const factOf = (action) => ACTIONS[action] ?? action;

/** The types that webhooks of a kind become: of all actions, or of one. None for a kind that is not mapped. */
export function kindsOf(kind, action) {
  const known = KINDS[kind];
  if (!known) return [];
  const fact = known[2] ?? (action && factOf(action));
  return fact ? [`github.${known[0]}.${fact}`] : [];
}

/**
 * The envelope of a webhook, without its `data`.
 * `nth` tells equal payloads apart; a real delivery has `X-GitHub-Delivery` for that.
 */
export function envelope(kind, nth, payloadText) {
  const known = KINDS[kind];
  if (!known) throw new Error(`GitHub's ${kind} is not mapped`);
  const payload = JSON.parse(payloadText);
  const [entity, id, fixed] = known;
  const action = fixed ?? factOf(payload.action);
  if (!action) throw new Error(`GitHub's ${kind} without an action is not mapped`);
  const digest = createHash('sha256').update(payloadText).digest('hex').slice(0, 24);
  return {
    id: `github_${kind}_${nth}_${digest}`,
    type: `github.${entity}.${action}`,
    tenant: tenantOf(payload),
    ...(payload.repository && { project: payload.repository.name }),
    source: { type: 'integration', id: 'github' },
    entity: { type: entity, id: id(payload) },
    ...(payload.sender && { actor: payload.sender.login }),
  };
}

/** The event as one line of JSON, with the payload's text as it is. */
export function line(event, payloadText) {
  return `${JSON.stringify(event).slice(0, -1)},"data":${payloadText}}`;
}
