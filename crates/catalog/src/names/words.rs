//! The words that the naming rules know. Tables, in alphabetical order.

/// Irregular verbs: base, simple past, past participle. `/` parts forms of which each is right, the first is proposed.
pub(super) const IRREGULAR: &str = "
arise arose arisen|awake awoke awoken|bear bore borne/born|beat beat beaten|become became become|begin began begun|
bend bent bent|bet bet bet|bid bid bid|bind bound bound|bite bit bitten|bleed bled bled|blow blew blown|
break broke broken|breed bred bred|bring brought brought|broadcast broadcast broadcast|build built built|
burn burnt burned/burnt|burst burst burst|buy bought bought|cast cast cast|catch caught caught|choose chose chosen|
come came come|cost cost cost|creep crept crept|cut cut cut|deal dealt dealt|dig dug dug|do did done|draw drew drawn|
dream dreamt dreamed/dreamt|drink drank drunk|drive drove driven|eat ate eaten|fall fell fallen|feed fed fed|
feel felt felt|fight fought fought|find found found|fit fit fitted/fit|flee fled fled|fling flung flung|fly flew flown|
forbid forbade forbidden|forecast forecast forecast|foresee foresaw foreseen|forget forgot forgotten|
forgive forgave forgiven|forgo forwent forgone|forsake forsook forsaken|freeze froze frozen|get got gotten/got|
give gave given|go went gone|grind ground ground|grow grew grown|hang hung hung|have had had|hear heard heard|
hide hid hidden|hit hit hit|hold held held|hurt hurt hurt|input input input|inset inset inset|keep kept kept|
kneel knelt knelt|know knew known|lay laid laid|lead led led|lean leant leaned/leant|leap leapt leapt|
learn learnt learned/learnt|leave left left|lend lent lent|let let let|lie lay lain|light lit lit|lose lost lost|
make made made|mean meant meant|meet met met|mislay mislaid mislaid|mislead misled misled|misread misread misread|
misspell misspelt misspelled/misspelt|mistake mistook mistaken|misunderstand misunderstood misunderstood|
mow mowed mown|offset offset offset|outbid outbid outbid|outdo outdid outdone|outgrow outgrew outgrown|
output output output|outrun outran outrun|outsell outsold outsold|overcome overcame overcome|overdo overdid overdone|
overdraw overdrew overdrawn|override overrode overridden|overrun overran overrun|oversee oversaw overseen|
oversell oversold oversold|overtake overtook overtaken|overthrow overthrew overthrown|overwrite overwrote overwritten|
partake partook partaken|pay paid paid|prepay prepaid prepaid|preset preset preset|proofread proofread proofread|
prove proved proven|put put put|quit quit quit|read read read|rebind rebound rebound|rebuild rebuilt rebuilt|
recast recast recast|redo redid redone|redraw redrew redrawn|regrow regrew regrown|remake remade remade|
rend rent rent|repay repaid repaid|reread reread reread|rerun reran rerun|resell resold resold|resend resent resent|
reset reset reset|resit resat resat|retake retook retaken|retell retold retold|rethink rethought rethought|
rewind rewound rewound|rewrite rewrote rewritten|rid rid rid|ride rode ridden|ring rang rung|rise rose risen|
run ran run|say said said|see saw seen|seek sought sought|sell sold sold|send sent sent|set set set|sew sewed sewn|
shake shook shaken|shed shed shed|shine shone shone|shoot shot shot|show showed shown|shrink shrank shrunk|
shut shut shut|sing sang sung|sink sank sunk|sit sat sat|sleep slept slept|slide slid slid|sling slung slung|
slit slit slit|smell smelt smelled/smelt|sow sowed sown|speak spoke spoken|speed sped sped|spell spelt spelled/spelt|
spend spent spent|spill spilt spilled/spilt|spin spun spun|spit spat spat|split split split|spoil spoilt spoiled/spoilt|
spread spread spread|spring sprang sprung|stand stood stood|steal stole stolen|stick stuck stuck|sting stung stung|
stink stank stunk|stride strode stridden|strike struck struck/stricken|string strung strung|strive strove striven|
sublet sublet sublet|swear swore sworn|sweep swept swept|swell swelled swollen|swim swam swum|swing swung swung|
take took taken|teach taught taught|tear tore torn|telecast telecast telecast|tell told told|think thought thought|
throw threw thrown|thrust thrust thrust|tread trod trodden|typecast typecast typecast|typeset typeset typeset|
unbind unbound unbound|undercut undercut undercut|undergo underwent undergone|understand understood understood|
undertake undertook undertaken|underwrite underwrote underwritten|undo undid undone|unset unset unset|
unwind unwound unwound|uphold upheld upheld|upsell upsold upsold|upset upset upset|wake woke woken|wear wore worn|
weave wove woven|wed wed wed|weep wept wept|wet wet wet|win won won|wind wound wound|withdraw withdrew withdrawn|
withhold withheld withheld|withstand withstood withstood|wring wrung wrung|write wrote written
";

/// Regular verbs that products use, so that a base form is told from a noun.
pub(super) const REGULAR: &str = "
abandon abort accept access accrue acknowledge acquire act activate adapt add adjust admit adopt advance advertise
advise affirm agree alert align allocate allow alter amend analyze annotate announce anonymize answer appeal append
apply appoint approve archive arrange arrive ask assemble assess assign assist associate assume attach attempt attend
audit authenticate authorize automate award back backfill balance ban batch bill block book boost bounce browse bundle
cache calculate call cancel capture carry categorize certify change charge check claim clarify classify clean clear
click clone close collect combine commence comment commission commit compare compensate compile complete compress
compute conclude confirm connect consent consolidate consume contact contain continue contribute control convert copy
correct count cover crash create credit crawl cross curate customize damage debit decide decline decrease decree decrypt
deduct deduplicate defer define degrade delay delegate delete deliver demote deny depart deplete deploy deposit
deprecate derive describe deselect design destroy detach detect determine develop diagnose digest direct disable disagree
disapprove discard discharge disclose disconnect discontinue discount discover dismiss dispatch display dispose dispute
distribute dock document donate download downgrade draft drain drop dump duplicate earn edit elapse elect elevate
email embed emit employ enable encode encounter encrypt end endorse enforce engage enqueue enrich enroll ensure enter
equip escalate establish estimate evaluate evict examine exceed exchange exclude execute exhaust exit expand expect
expire explain explore export extend extract fail favorite fetch file fill filter finalize finance finish fix flag
flush follow force forfeit format forward free fulfill fund gather generate grade grant greet group guarantee handle happen
harvest hash help hire host identify ignore impersonate implement import improve include increase increment index
infer inform ingest inherit initialize initiate inject insert inspect install instruct insure integrate intend
interrupt introduce invalidate inventory invest investigate invite invoice invoke isolate issue iterate join judge jump
kill label lack land lapse launch lease level license lift like limit link list listen liquidate live load locate lock
log look loop lower mail maintain manage manufacture map mark mask match mature measure mention merge message migrate
miss mitigate moderate modify monitor mount move multiply mute name navigate need negotiate nominate normalize note
notify number observe obtain occur offer onboard open operate opt optimize order organize originate pack pair park
parse pass patch pause perform permit persist phone pick pin ping place plan play pledge plot point poll populate
post postpone prefer prepare present preserve press prevent preview price print prioritize probe process procure produce
profile program progress prohibit promise promote prompt propagate propose protect provide provision prune publish pull
purchase purge push qualify quantify quarantine query queue quote raise rank rate reach react reactivate reassign
rebalance rebook recall receive recharge recommend reconcile reconnect record recover recruit recycle redact redeem
redirect redrive reduce refer refill refine reflect refresh refund refuse register reject relate release relocate remain
remember remind remit remove rename render renew reopen reorder repair repeat replace replay replenish reply report
represent request require reroute reschedule rescue reserve resign resize resolve respond restart restore restrict
resubmit result resume retain retire retract retrieve retry return reuse reveal reverse revert review revise revive
revoke reward roll rotate route salvage sample sanction satisfy save scale scan schedule score screen seal search secure
seed select separate serve service settle share ship sign simulate sign skip snooze solve sort source stack stage stamp
star start state station stay step stock stop store stream strip structure study submit subscribe succeed suggest
summarize supersede supply support suppress surrender suspend switch sync synchronize tag target task terminate test
throttle tick tie time timeout tip toggle tokenize top trace track trade train transcribe transfer transform transition
translate transmit trash travel treat trigger trim troubleshoot truncate trust try tune turn type unarchive unassign
unban unblock undelete unfollow unify uninstall unlink unlock unmute unpack unpin unpublish unregister unsubscribe
unsuspend update upgrade upload upsert use validate value vary verify view violate visit void vote wait waive walk want
warn wash watch weigh welcome whitelist wipe work wrap yield zoom
";

/// Regular verbs whose last consonant is doubled in the past.
pub(super) const DOUBLING: &str = "
admit allot ban bar commit control defer drag drop embed emit enrol equip fit flag flip forget grab handicap
hop incur infer jam jog kidnap lag log map nag occur omit opt pat permit pin plan plot plug pop prefer program prop ram
recur refer regret remit rerun rig rip rob rub scan scrap scrub ship shop skip slip snap spot stem step stop strip
submit sum swap tag tap tip top transfer transmit trap trim unplug unpin wrap zip
";

/// Nouns of actions whose verb the endings do not give away.
pub(super) const NOUNS: &str = "
acceptance accepted|access accessed|acknowledgement acknowledged|acquisition acquired|admission admitted|
alteration altered|analysis analyzed|application applied|arrival arrived|bounce bounced|breach breached|
cancellation cancelled|checkin checked_in|checkout checked_out|choice chosen|classification classified|closing closed|
closure closed|collision collided|compliance complied|conclusion concluded|confirmation confirmed|consumption consumed|
conversion converted|death died|decision decided|decline declined|delivery delivered|departure departed|
description described|destruction destroyed|discovery discovered|emission emitted|error failed|escalation escalated|
exclusion excluded|expiration expired|expiry expired|explanation explained|exposure exposed|extension extended|
failure failed|fulfilment fulfilled|growth grown|identification identified|inclusion included|information informed|
invitation invited|invocation invoked|login logged_in|logon logged_on|logout logged_out|loss lost|
modification modified|notice notified|notification notified|observation observed|occurrence occurred|
onboarding onboarded|omission omitted|payment paid|payout paid_out|permission permitted|preparation prepared|
presentation presented|production produced|proposal proposed|publication published|qualification qualified|
receipt received|reception received|recovery recovered|redemption redeemed|reduction reduced|registration registered|
reimbursement reimbursed|rejection rejected|remission remitted|removal removed|repetition repeated|
replenishment replenished|reservation reserved|resolution resolved|response responded|restoration restored|
revision revised|revocation revoked|rollback rolled_back|sale sold|setup set_up|shipment shipped|shutdown shut_down|
signin signed_in|signout signed_out|signup signed_up|solution solved|submission submitted|
subscription subscribed|success succeeded|suspension suspended|takeover taken_over|timeout timed_out|
transaction transacted|transcription transcribed|transmission transmitted|upload uploaded|usage used|
verification verified|violation violated|withdrawal withdrawn
";

/// States that become true: what to say instead.
pub(super) const STATES: &str = "
absent became_absent|active became_active|available became_available|busy became_busy|complete completed|
dead died|due became_due|empty emptied|full filled|idle became_idle|inactive became_inactive|invalid invalidated|
late became_late|live went_live|new created|obsolete became_obsolete|offline went_offline|online went_online|
overdue became_overdue|pending became_pending|ready became_ready|successful succeeded|unavailable became_unavailable|
valid validated|visible became_visible
";

/// Words that end in `ed` and are no participles. Those in `eed` are none but by the verbs that are known.
pub(super) const NO_PARTICIPLES: &str = "
bed biped embed hatred hundred infrared kindred moped naked red sacred seabed shred sunbed thoroughbred watershed wicked
";

/// Participles that alone do not tell what happened: the verb's base is the same and nobody reads it as a past, or it
/// needs something behind it.
pub(super) const NOT_ALONE: &str = "became become bet burst come cost fit hurt let led rid shed went";

/// Participles that alone are read as what something is like.
pub(super) const LIKE_ADJECTIVES: &str = "advanced complicated detailed dedicated sophisticated united";

/// What is no noun behind a participle: `made_public`.
pub(super) const ADJECTIVES: &str = "
active anonymous bankrupt clean closed correct dead dirty empty external false final first free full independent internal
invalid last late live manual new next offline old online open private public ready safe stale true twice unread valid
void wrong
";

/// Words that end in `s` and are singular.
pub(super) const SINGULAR: &str = "
abs access address ads aegis alias always analysis analytics apparatus as asbestos athletics atlas aws axis
basis bias bonus bus business calculus campus canvas census chaos chassis chorus christmas circus class compass
congress consensus corps corpus cosmos crisis cross cms crms css debris devops diabetes diagnosis
discus dns dress economics electronics emphasis emphasis ethos excess express focus forex fungus gas genesis genus
glass gps grass gross haas headquarters https hypothesis iaas ibis ios iris iris isis ketosis kms kubernetes
lens logistics loss lotus mass mathematics means mess metropolis minus mips mms moss mucus nexus news nis nucleus oasis
octopus ohms omnibus ops os paas pancreas paralysis parenthesis pass pegasus physics plus politics pos press
process progress prospectus pus radius redis rhesus rss s3 saas sales sas series sinus sis sms sns species sqs
stasis status stimulus stress success surplus synopsis synthesis tennis tetris thanks thesis this tigris tls toss
tournois trans trellis tropics us vas versus virus walrus yes
";

/// Plurals that have no singular, or another meaning without the `s`: nothing is wrong with them.
pub(super) const PLURALIA_TANTUM: &str = "
arms assets belongings clothes congratulations contents costs credentials customs details dues earnings funds glasses goods
grounds guts holdings logistics looks minutes odds operations outskirts pants premises preferences proceeds quarters
remains riches savings settings shorts spirits stairs statistics stats terms valuables wages wares winnings works
";

/// Nouns whose plural is certain to speak of several. Of other words a plural is a guess.
pub(super) const COUNTED: &str = "
account ad address agent agreement alarm alert answer apartment appointment article artist asset attachment attendee
author badge basket batch benefit bill board booking box branch bucket budget building bus campaign candidate card carrier
cart case category certificate channel charge chat check child choice class client clinic cluster code comment company
component contact container contract conversation coupon course customer dashboard deal decision delivery department
deployment deposit device discount dispute doctor document domain driver email employee endpoint entry estimate event
exam expense experiment facility feature file flight folder form game group guest host hotel house image incident index
instance instructor integration invitation invoice issue item job journey key label lead league lesson letter license
line link list listing loan location machine match meeting member membership merchant message milestone model module
node note notification offer office opportunity option order organization owner package page parcel partner party patient
payment payout person phone photo place player plan policy post prescription price problem product profile project
property provider purchase quote reader receipt recipe record refund region registration reminder repository report
request reservation resource response result review reward ride role room route rule run schedule school score seat
segment seller sensor server service session share shift shipment shop show sign signature site skill slot song source
space stage state step stop store story student subscriber subscription supplier survey table tag target task tax teacher
team template tenant test thread ticket token tool topic track tracker trade train transaction transfer trip truck upload
user vehicle vendor venue version video visit visitor voucher wallet warehouse webhook website widget window worker
workflow workspace zone
";

/// What something has, and what changes: `address_changed`.
pub(super) const FIELDS: &str = "
address amount assignee avatar balance budget color colour country currency date deadline description email forecast
language level limit location locale mileage name owner password phase phone plan position price priority quantity quota
rank rate rating role salary schedule scope score size stage state status stock temperature threshold tier timezone title
weight
";

/// Plurals that rules do not undo.
pub(super) const PLURALS: &str = "
analyses analysis|axes axis|bases base|brownies brownie|buses bus|bonuses bonus|bureaux bureau|caches cache|
calories calorie|calves calf|campuses campus|censuses census|children child|cookies cookie|corpora corpus|
courses course|crises crisis|criteria criterion|curricula curriculum|diagnoses diagnosis|dies die|elves elf|feet foot|
focuses focus|geese goose|genies genie|halves half|heroes hero|hoodies hoodie|hypotheses hypothesis|indices index|
knives knife|leaves leaf|lenses lens|lies lie|lives life|loaves loaf|matrices matrix|men man|mice mouse|movies movie|
nuclei nucleus|oxen ox|parentheses parenthesis|people person|phenomena phenomenon|pies pie|potatoes potato|
quizzes quiz|radii radius|rookies rookie|schemata schema|selfies selfie|selves self|shelves shelf|staves staff|
statuses status|stimuli stimulus|surpluses surplus|syllabi syllabus|teeth tooth|theses thesis|thieves thief|ties tie|
tomatoes tomato|vertices vertex|vetoes veto|viruses virus|wives wife|wolves wolf|women woman|zombies zombie
";

/// Words that follow a participle and belong to it: `moved_to_trash`, `logged_in`.
pub(super) const PARTICLES: &str = "
aboard about above abroad across after again against ahead along among apart around as aside at away back before behind
below between beyond by down during early ever for forth forward from home in inside into late manually of off on onto
online offline open out outside over past per round since successfully through to together toward under until up upon
via with within without automatically partially completely
";

/// Words that say when, or make a wish of it; they add nothing to a participle.
pub(super) const TENSES: &str = "
are be been being can could did do does get gets got had has have is just may might must now please shall should
soon was were will would to
";

/// Those that speak of what has not happened yet, and may never.
pub(super) const FUTURE: &str = "can could may might must shall should soon to will would";

/// Names that say nothing.
pub(super) const GENERIC: &str =
    "action activity data entity event events info information item message misc notification
object occurrence payload record signal something stuff thing";

/// Simple pasts that say of a state that it began, and are taken as they are.
pub(super) const TAKEN_AS_THEY_ARE: &str = "became went began ran came rose fell";

/// Verbs that are nouns more often.
pub(super) const NOUNISH: &str = "
bill book bounce bundle campaign charge claim comment contact credit deposit digest discount document email feed file
filter grade group image index inventory invoice issue label level license link list log mark message name note offer order
pair phone pick pin place plan point post price profile program prompt purchase query queue quote rate record report
result review route sample scale schedule score screen seed service share source stage stamp star state station store stream
study supply tag target task test time tip trace track trade transfer value view visit vote watch work
";
