// What becomes of the DSP's answer: results as return values (KERNEL 1.11.6), outputs that the DSP made shorter, longer
// or moved, answers of odd sizes, twice, late, or of nobody (1.11.4).
#include "run.hpp"

#include <thread>
#include <unistd.h>

namespace fastrpc::conformance {

namespace {

/// The context of the call that is held on handle `held`, out of the recorder's log; the log loses what it returns.
std::uint64_t context_of(Run& run, int file, std::uint32_t held) {
    std::vector<std::byte> fetched(64U << 10);
    if (control(file, Control::fetch, {}, fetched) != 0) run.give_up("no log");
    FetchHead head;
    std::memcpy(&head, fetched.data(), sizeof head);
    std::size_t at = sizeof head;
    for (std::uint32_t i = 0; i < head.records; ++i) {
        Record record;
        std::memcpy(&record, fetched.data() + at, sizeof record);
        if (record.request.handle == held) return record.request.context;
        at += sizeof record + record.dumped + record.probes * sizeof(Probe);
    }
    run.give_up("the held call is not in the log");
}

int respond(int file, std::uint64_t context, std::int32_t result, std::size_t size = 16) {
    std::byte message[64] = {};
    const vdsp::WireResponse response{.context = context, .result = result};
    std::memcpy(message, &response, sizeof response);
    return control(file, Control::respond, std::span(message).first(size));
}

/// A call on `held` that the recorder does not answer, from a thread; `meanwhile` gets its context.
void hold(Run& run, int file, const std::function<void(std::uint64_t context)>& meanwhile) {
    constexpr std::uint32_t held = 0x77;
    run.rule(file, {.handle = held, .answers = 0});
    std::thread caller([&] {
        run.name_thread(::gettid(), "caller");
        run.invoke(file, held, sc(5), {}, "held");
    });
    run.wait_seen(file, held, 1);
    meanwhile(context_of(run, file, held));
    caller.join();
}

void add_result_cases(Cases& cases) {
    for (const std::int64_t result :
         {std::int64_t{0}, std::int64_t{1}, std::int64_t{2}, std::int64_t{39}, std::int64_t{110}, std::int64_t{512},
          std::int64_t{0x7FFFFFFF}, std::int64_t{-1}, std::int64_t{-4}, std::int64_t{-39}, std::int64_t{-513},
          std::int64_t{-514}, std::int64_t{-516}, std::int64_t{-4095}, std::int64_t{-4096}, std::int64_t{-4097},
          std::int64_t{0x8000040D}, std::int64_t{0x80000000}, std::int64_t{0x80000414}}) {
        const auto word = static_cast<std::int32_t>(static_cast<std::uint32_t>(result));
        cases.push_back(
            {print("result/invoke/%x", static_cast<unsigned>(word)), [word](Run& run) {
                 const int file = run.open("cdsp");
                 run.rule(file, {.handle = service, .result = word});
                 run.invoke(file, service, sc(2, 1, 1), {arg(run.input(0, 64), 64), arg(run.memory(4096), 64)});
                 run.output_bytes("out", {run.memory(4096), 64});
             }});
        cases.push_back({print("result/attach/%x", static_cast<unsigned>(word)), [word](Run& run) {
                             const int file = run.open("cdsp");
                             run.rule(file, {.handle = process_service, .result = word});
                             run.attach(file);
                         }});
    }
    for (const std::int32_t result : {-512, -110}) {
        cases.push_back({.name = print("result/invoke/lost/%d", result),
                         .body =
                             [result](Run& run) {
                                 const int file = run.open("cdsp");
                                 run.rule(file, {.handle = service, .result = result});
                                 run.invoke(file, service, sc(2, 0, 1), {arg(run.memory(0), 64)});
                                 run.output_bytes("out", {run.memory(0), 64});
                                 run.invoke(file, service, sc(2), {}, "next");
                             },
                         .spoils = true});
        cases.push_back({.name = print("result/attach/lost/%d", result),
                         .body =
                             [result](Run& run) {
                                 const int file = run.open("cdsp");
                                 run.rule(file, {.handle = process_service, .result = result});
                                 run.attach(file);
                             },
                         .spoils = true});
    }
    cases.push_back({.name = "result/invoke/lost-moves-heap",
                     .body =
                         [](Run& run) {
                             const int file = run.open("cdsp");
                             std::uint64_t address = 0;
                             run.map_heap(file, 8192, address);
                             run.rule(file, {.handle = service, .result = -512});
                             run.invoke(file, service, sc(2), {});
                             run.unmap_heap(file, address, 8192);
                         },
                     .spoils = true});
}

void add_output_cases(Cases& cases) {
    struct Edit {
        const char* name;
        std::uint64_t length;
        std::int64_t shift;
        std::int32_t result;
    };
    static constexpr Edit edits[] = {{"shorter", 3, 0, 0},          {"to-0", 0, 0, 0},
                                     {"longer", 12, 0, 0},          {"longer-on-failure", 12, 0, 39},
                                     {"moved-forward", 8, 4, 0},    {"moved-to-the-next", 8, 128, 0},
                                     {"shorter-and-moved", 4, 2, 0}};
    for (const Edit& edit : edits)
        cases.push_back(
            {print("result/output/%s", edit.name), [edit](Run& run) {
                 const int file = run.open("cdsp");
                 Rule rule{.handle = service, .result = edit.result, .edits = 1};
                 rule.edit[0] = {.index = 1, .set_length = 1, .length = edit.length, .pv_shift = edit.shift};
                 run.rule(file, rule);
                 run.invoke(file, service, sc(2, 1, 2),
                            {arg(run.input(0, 16), 16), arg(run.memory(4096), 8), arg(run.memory(8192), 32)});
                 run.output_bytes("out1", {run.memory(4096), 16});
                 run.output_bytes("out2", {run.memory(8192), 40});
             }});
    cases.push_back({"result/output/longer-into-a-hole", [](Run& run) {
                         const int file = run.open("cdsp");
                         Rule rule{.handle = service, .edits = 1};
                         rule.edit[0] = {.index = 0, .set_length = 1, .length = 64};
                         run.rule(file, rule);
                         auto* data = reinterpret_cast<std::byte*>(0x7FFFFFFFF000 - 8); // above is no user memory
                         run.invoke(file, service, sc(2, 0, 1), {arg(data, 8)});
                     }});
    cases.push_back({"result/output/mapped-length-is-not-read", [](Run& run) {
                         const int file = run.open("cdsp");
                         const Buffer buffer = run.buffer(file, 1);
                         Rule rule{.handle = service, .edits = 1};
                         rule.edit[0] = {.index = 0, .set_length = 1, .length = 3};
                         run.rule(file, rule);
                         run.invoke(file, service, sc(2, 0, 1), {arg(buffer.data + 64, 8, buffer.fd)});
                         run.output_bytes("out", {buffer.data + 64, 16});
                     }});
    cases.push_back({"result/output/empty-made-longer", [](Run& run) {
                         const int file = run.open("cdsp");
                         Rule rule{.handle = service, .edits = 1};
                         rule.edit[0] = {.index = 1, .set_length = 1, .length = 8, .pv_shift = 0};
                         run.rule(file, rule);
                         run.invoke(file, service, sc(2, 0, 2), {arg(run.memory(0), 8), arg(run.memory(4096), 0)});
                         run.output_bytes("out1", {run.memory(4096), 16});
                     }});
}

void add_answer_cases(Cases& cases) {
    for (const std::uint32_t size : {17U, 24U, 64U})
        cases.push_back({print("answer/size/%u", size), [size](Run& run) {
                             const int file = run.open("cdsp");
                             run.rule(file, {.handle = service, .result = 7, .answer_bytes = size});
                             run.invoke(file, service, sc(2), {});
                         }});
    for (const std::size_t size : {8UL, 12UL, 15UL})
        cases.push_back({print("answer/too-short/%zu", size), [size](Run& run) {
                             const int file = run.open("cdsp");
                             hold(run, file, [&](std::uint64_t context) {
                                 respond(file, context, 5, size);
                                 run.say("short-sent");
                                 respond(file, context, 6);
                             });
                         }});
    // A second answer before the caller has woken up lets the real kernel free the call twice, so it comes later here.
    cases.push_back({"answer/twice", [](Run& run) {
                         const int file = run.open("cdsp");
                         std::uint64_t first = 0;
                         hold(run, file, [&](std::uint64_t context) {
                             first = context;
                             respond(file, context, 7);
                         });
                         respond(file, first, 8);
                         run.invoke(file, service, sc(2), {}, "next");
                     }});
    cases.push_back({"answer/of-an-unknown-context", [](Run& run) {
                         const int file = run.open("cdsp");
                         respond(file, 0xAA0, 5);
                         respond(file, 0, 5);
                         run.invoke(file, service, sc(2), {}, "next");
                     }});
    cases.push_back({"answer/other-bits-of-the-context-are-ignored", [](Run& run) {
                         const int file = run.open("cdsp");
                         hold(run, file, [&](std::uint64_t context) {
                             respond(file, (context & 0xFF0) | 0xABCD00000000F00FULL, 9);
                         });
                     }});
    cases.push_back({"answer/late", [](Run& run) {
                         const int file = run.open("cdsp");
                         run.rule(file, {.handle = service, .result = 3, .delay_ms = 50});
                         run.invoke(file, service, sc(2, 0, 1), {arg(run.memory(0), 8)});
                         run.output_bytes("out", {run.memory(0), 8});
                     }});
    cases.push_back({"answer/late-attach", [](Run& run) {
                         const int file = run.open("cdsp");
                         run.rule(file, {.handle = process_service, .delay_ms = 50});
                         run.attach(file);
                     }});
    cases.push_back({"answer/late-release", [](Run& run) {
                         const int file = run.open("cdsp");
                         run.rule(file, {.handle = process_service, .result = 39, .delay_ms = 50});
                         run.close(file, "close");
                     }});
    cases.push_back({"answer/out-of-order", [](Run& run) {
                         const int file = run.open("cdsp");
                         hold(run, file, [&](std::uint64_t context) {
                             run.invoke(file, service, sc(2), {}, "between");
                             respond(file, context, 11);
                         });
                     }});
}

} // namespace

void add_invoke_result_cases(Cases& cases) {
    add_result_cases(cases);
    add_output_cases(cases);
    add_answer_cases(cases);
}

} // namespace fastrpc::conformance
