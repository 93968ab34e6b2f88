"""What there is to say, without the words."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Texts:
    """The texts of one language; a pair in `one` and `many` is for a number equal to 1 and any other."""

    chat: str
    documents: str
    interface_language: str
    answer_settings: str
    answer_language: str
    answer_language_auto: str
    caution: str
    caution_help: str
    short_answers: str
    short_answers_help: str
    temperature: str
    temperature_help: str
    passages: str
    passages_help: str
    model: str
    model_help: str
    more_settings: str
    reasoning: str
    reasoning_help: str
    candidates: str
    candidates_help: str
    seed: str
    seed_help: str
    privacy: str

    scope: str
    scope_all: str
    scope_source: str
    scope_source_example: str
    scope_source_help: str
    scope_asked: str
    understood: str
    ask_everything: str
    collections: str
    languages: str

    ask_title: str
    ask_hint: str
    ask_placeholder: str
    first_title: str
    first_hint: str
    first_steps: tuple[str, str, str]
    add_documents: str
    new_conversation: str
    pictures: str
    pictures_hide: str
    pictures_searching: str
    pictures_hint: str
    pictures_none: str
    listen: str
    listen_hide: str
    listen_preparing: str
    dictation_listening: str
    dictation_empty: str
    stop: str

    stage_waiting: str
    stage_loading: str
    stage_searching: str
    stage_reading_one: str
    stage_reading_many: str
    stage_thinking: str
    thoughts: str
    stage_writing: str
    wrong_language: str
    stopped: str
    stopped_early: str

    sources: str
    page: str
    support: str
    nearest: str
    abstained_hint: str
    abstained_narrow: str
    abstained_nowhere: str
    all_passages: str
    rank: str
    score: str
    meaning: str
    words: str
    why: str
    why_hide: str
    why_searching: str
    why_searched: str
    why_candidates: str
    why_compared: str
    why_found: str
    why_read: str
    why_dense: str
    why_lexical: str
    why_fused: str
    why_reranked: str
    why_in_prompt: str
    why_no_room: str
    why_far_behind: str
    why_lost_filter: str
    why_lost_channels: str
    why_lost_shortlist: str
    why_lost_first_stage: str
    why_lost_second_stage: str
    why_lost_duplicate: str
    why_lost_per_source: str
    why_lost_diversity: str
    why_budget: str
    confidence: str
    seconds: str
    decimal: str

    collection: str
    collection_help: str
    collection_new: str
    collection_name: str
    collection_bad_name: str
    upload_label: str
    upload_drop: str
    upload_button: str
    upload_limits: str
    upload_submit: str
    upload_none: str
    upload_same_name: str
    upload_bad_name: str
    upload_unwritable: str
    opening_library: str
    ingest_starting: str
    ingest_reading: str
    ingest_embedding: str
    ingest_publishing: str
    ingest_rate: str
    ingest_left: str
    ingest_left_minutes: str
    report_added: str
    report_changed: str
    report_unchanged: str
    report_removed: str
    report_failed: str
    report_nothing: str
    rule_unreadable: str
    rule_empty: str
    rule_oversize: str
    rule_unsupported: str
    rule_encrypted: str
    rule_entities: str
    rule_nesting: str
    rule_timeout: str
    rule_memory: str
    rule_crash: str
    rule_bomb: str
    laboratory: str
    problem_laboratory: str
    evaluation: str
    eval_hint: str
    eval_none_yet: str
    eval_set: str
    eval_limit: str
    eval_limit_help: str
    eval_measure: str
    eval_write: str
    eval_write_help: str
    eval_count: str
    eval_write_begin: str
    eval_written: str
    eval_unanswerable: str
    eval_upload: str
    eval_upload_help: str
    eval_upload_add: str
    eval_opening: str
    eval_searching: str
    eval_writing: str
    eval_stopping: str
    eval_first: str
    eval_among: str
    eval_time: str
    eval_interval: str
    eval_on: str
    eval_recall_title: str
    eval_recall_help: str
    eval_channels_title: str
    eval_channels_help: str
    eval_latency_title: str
    eval_latency_help: str
    eval_axis_k: str
    eval_axis_ms: str
    eval_found: str
    eval_found_by: str
    eval_questions: str
    eval_way: str
    eval_dense: str
    eval_lexical: str
    eval_fused: str
    eval_reranked: str
    eval_both: str
    eval_dense_only: str
    eval_lexical_only: str
    eval_none: str
    eval_download: str

    library_title: str
    library_empty: str
    library_filter: str
    library_no_match: str
    library_more: str
    document_one: str
    document_many: str
    page_one: str
    page_many: str
    passage_one: str
    passage_many: str
    characters: str
    remove: str
    remove_title: str
    remove_uploaded: str
    remove_indexed: str
    cancel: str

    problem_detail: str
    problem_unexpected: str
    problem_unexpected_mend: str
    problem_configuration: str
    problem_not_prepared: str
    problem_not_prepared_mend: str
    problem_model: str
    problem_dependency: str
    problem_dependency_mend: str
    problem_no_index: str
    problem_no_index_mend: str
    problem_mismatch: str
    problem_mismatch_mend: str
    problem_damaged: str
    problem_damaged_mend: str
    problem_busy: str
    problem_busy_mend: str
    problem_generation: str
    problem_generation_mend: str
    problem_files: str
    problem_questions: str

    def count(self, number: int, noun: str) -> str:
        """A number with its noun, such as "3 passages"; `noun` names a pair of fields."""
        form = getattr(self, f"{noun}_one" if number == 1 else f"{noun}_many")
        return f"{grouped(number)} {form}"


def grouped(number: int) -> str:
    """Digits in groups of three, divided by a narrow space as all three languages allow."""
    return f"{number:,}".replace(",", "\u202f")
