// INVOKE: counts, sizes and places of arguments that are copied (KERNEL 1.11.5), and bad pointers (1.11.7).
#include "run.hpp"

#include <sys/mman.h>

namespace fastrpc::conformance {

namespace {

void say_outputs(Run& run, const std::vector<vdsp_invoke_arg>& arguments, std::size_t inputs, std::size_t outputs) {
    for (std::size_t i = inputs; i < inputs + outputs && i < inputs + 4; ++i)
        run.output_bytes(print("out%zu", i),
                         {reinterpret_cast<const std::byte*>(arguments[i].ptr), arguments[i].length});
}

void add_count_cases(Cases& cases) {
    struct Shape {
        unsigned in, out, in_handles, out_handles;
    };
    static constexpr Shape shapes[] = {{0, 0, 0, 0},   {1, 0, 0, 0},   {0, 1, 0, 0},     {1, 1, 0, 0},
                                       {2, 1, 0, 0},   {3, 3, 0, 0},   {0, 0, 1, 0},     {0, 0, 0, 1},
                                       {1, 1, 1, 1},   {4, 0, 2, 3},   {20, 20, 0, 0},   {255, 0, 0, 0},
                                       {0, 255, 0, 0}, {0, 0, 15, 15}, {255, 255, 0, 0}, {255, 255, 15, 15}};
    for (const Shape& shape : shapes)
        cases.push_back(
            {print("invoke/shape/%u-%u-%u-%u", shape.in, shape.out, shape.in_handles, shape.out_handles),
             [shape](Run& run) {
                 const int file = run.open("cdsp");
                 std::vector<vdsp_invoke_arg> arguments;
                 const unsigned buffers = shape.in + shape.out;
                 for (unsigned i = 0; i < buffers; ++i) {
                     const std::uint64_t size = 1 + i * 3 % 40;
                     arguments.push_back(arg(i < shape.in ? run.input(i * 64, size) : run.memory(i * 64), size));
                 }
                 for (unsigned i = 0; i < shape.in_handles + shape.out_handles; ++i)
                     arguments.push_back(arg(reinterpret_cast<void*>(0x1000UL * i), i, -1));
                 run.invoke(file, service, sc(3, shape.in, shape.out, shape.in_handles, shape.out_handles), arguments);
                 say_outputs(run, arguments, shape.in, shape.out);
             }});
    for (const unsigned method : {0U, 1U, 30U, 31U})
        cases.push_back({print("invoke/method/%u", method),
                         [method](Run& run) { run.invoke(run.open("cdsp"), service, sc(method), {}); }});
    for (const std::uint32_t attribute : {0x20000000U, 0xE0000000U})
        cases.push_back({print("invoke/attribute/%x", attribute),
                         [attribute](Run& run) { run.invoke(run.open("cdsp"), service, sc(2) | attribute, {}); }});
    for (const std::uint32_t handle : {0U, 1U, 2U, 3U, 4U, 0x10000000U, 0xFFFFFFFFU})
        cases.push_back({print("invoke/handle/%x", handle),
                         [handle](Run& run) { run.invoke(run.open("cdsp-secure"), handle, sc(9), {}); }});
    cases.push_back({"invoke/handle/1-checks-arguments-first", [](Run& run) {
                         const int file = run.open("cdsp");
                         vdsp_invoke call{.handle = 1, .sc = sc(0, 1), .args = 8};
                         run.ioctl(file, VDSP_INVOKE, call, "bad-array");
                         run.invoke(file, 1, sc(0, 1), {arg(reinterpret_cast<void*>(8), 100)}, "bad-source");
                     }});
    cases.push_back({"invoke/handle/2-like-the-kernel", [](Run& run) {
                         const int file = run.open("cdsp");
                         *reinterpret_cast<std::uint32_t*>(run.memory(0)) = 255;
                         run.invoke(file, 2, sc(0, 1, 1), {arg(run.memory(0), 4), arg(run.memory(4096), 1020)});
                         run.output_bytes("attributes", {run.memory(4096), 1020});
                     }});
}

void add_size_cases(Cases& cases) {
    struct Size {
        const char* name;
        std::uint64_t size;
    };
    static constexpr Size sizes[] = {{"0", 0},
                                     {"1", 1},
                                     {"8", 8},
                                     {"127", 127},
                                     {"128", 128},
                                     {"129", 129},
                                     {"4095", 4095},
                                     {"4096", 4096},
                                     {"4097", 4097},
                                     {"64k", 65536},
                                     {"64k+1", 65537},
                                     {"128k", 131072},
                                     {"300k", 300 << 10},
                                     {"1m", 1 << 20}};
    for (const Size& one : sizes) {
        cases.push_back({print("invoke/inline/in/%s", one.name), [one](Run& run) {
                             const int file = run.open("cdsp");
                             run.invoke(file, service, sc(2, 1), {arg(run.input(0, one.size), one.size)});
                         }});
        cases.push_back({print("invoke/inline/out/%s", one.name), [one](Run& run) {
                             const int file = run.open("cdsp");
                             run.invoke(file, service, sc(2, 0, 1), {arg(run.memory(0), one.size)});
                             run.output_bytes("out", {run.memory(0), one.size + 8});
                         }});
    }
    for (const auto& [first, second] :
         {std::pair{0, 64}, {64, 0}, {0, 0}, {4096, 4096}, {100, 70000}, {70000, 100}, {3712, 8}, {3632, 1}})
        cases.push_back(
            {print("invoke/inline/in-%d-out-%d", first, second), [first = first, second = second](Run& run) {
                 const int file = run.open("cdsp");
                 const auto in = static_cast<std::size_t>(first);
                 const auto out = static_cast<std::size_t>(second);
                 run.invoke(file, service, sc(2, 1, 1), {arg(run.input(0, in), in), arg(run.memory(1 << 20), out)});
                 run.output_bytes("out", {run.memory(1 << 20), out});
             }});
}

void add_pointer_cases(Cases& cases) {
    cases.push_back({"invoke/pointer/null-in-length-0",
                     [](Run& run) { run.invoke(run.open("cdsp"), service, sc(2, 1), {arg(nullptr, 0)}); }});
    cases.push_back({"invoke/pointer/bad-in-length-0", [](Run& run) {
                         run.invoke(run.open("cdsp"), service, sc(2, 1), {arg(reinterpret_cast<void*>(8), 0)});
                     }});
    cases.push_back({"invoke/pointer/null-out-length-0",
                     [](Run& run) { run.invoke(run.open("cdsp"), service, sc(2, 0, 1), {arg(nullptr, 0)}); }});
    for (const auto& [name, address] :
         {std::pair{"null", 0UL}, {"8", 8UL}, {"kernel", 0xFFFF800080000000UL}, {"top", 0xFFFFFFFFFFFFF000UL}}) {
        cases.push_back({print("invoke/pointer/in/%s", name), [address = address](Run& run) {
                             const int file = run.open("cdsp");
                             run.invoke(file, service, sc(2, 1), {arg(reinterpret_cast<void*>(address), 64)});
                             run.invoke(file, service, sc(2), {}, "next");
                         }});
        cases.push_back({print("invoke/pointer/out/%s", name), [address = address](Run& run) {
                             const int file = run.open("cdsp");
                             run.invoke(file, service, sc(2, 0, 1), {arg(reinterpret_cast<void*>(address), 64)});
                             run.invoke(file, service, sc(2), {}, "next");
                         }});
        cases.push_back({print("invoke/pointer/array/%s", name), [address = address](Run& run) {
                             const int file = run.open("cdsp");
                             vdsp_invoke call{.handle = service, .sc = sc(2, 1), .args = address};
                             run.ioctl(file, VDSP_INVOKE, call, "invoke");
                         }});
    }
    cases.push_back({"invoke/pointer/array-ignored-without-arguments", [](Run& run) {
                         const int file = run.open("cdsp");
                         vdsp_invoke call{.handle = service, .sc = sc(2), .args = 8};
                         run.ioctl(file, VDSP_INVOKE, call, "invoke");
                     }});
    cases.push_back(
        {"invoke/pointer/second-input-bad", [](Run& run) {
             const int file = run.open("cdsp");
             run.invoke(file, service, sc(2, 2), {arg(run.input(0, 64), 64), arg(reinterpret_cast<void*>(8), 64)});
         }});
    cases.push_back({"invoke/pointer/good-output-before-bad", [](Run& run) {
                         const int file = run.open("cdsp");
                         run.invoke(file, service, sc(2, 0, 2),
                                    {arg(run.memory(0), 64), arg(reinterpret_cast<void*>(0xFFFF800080000000), 64)});
                         run.output_bytes("out0", {run.memory(0), 64});
                     }});
    cases.push_back(
        {"invoke/pointer/good-output-after-bad", [](Run& run) {
             const int file = run.open("cdsp");
             run.invoke(file, service, sc(2, 0, 2), {arg(reinterpret_cast<void*>(8), 64), arg(run.memory(0), 64)});
             run.output_bytes("out1", {run.memory(0), 64});
         }});
    cases.push_back({"invoke/pointer/input-runs-into-a-hole", [](Run& run) {
                         const int file = run.open("cdsp");
                         ::munmap(run.memory(8192), 4096);
                         run.invoke(file, service, sc(2, 1), {arg(run.memory(8192 - 32), 64)});
                     }});
    cases.push_back({"invoke/pointer/output-runs-into-a-hole", [](Run& run) {
                         const int file = run.open("cdsp");
                         ::munmap(run.memory(8192), 4096);
                         run.invoke(file, service, sc(2, 0, 1), {arg(run.memory(8192 - 32), 64)});
                     }});
    cases.push_back({"invoke/pointer/output-read-only", [](Run& run) {
                         const int file = run.open("cdsp");
                         ::mprotect(run.memory(8192), 4096, PROT_READ);
                         run.invoke(file, service, sc(2, 0, 1), {arg(run.memory(8192), 64)});
                     }});
    cases.push_back({"invoke/pointer/input-not-readable", [](Run& run) {
                         const int file = run.open("cdsp");
                         ::mprotect(run.memory(8192), 4096, PROT_NONE);
                         run.invoke(file, service, sc(2, 1), {arg(run.memory(8192), 64)});
                     }});
    cases.push_back({"invoke/pointer/array-runs-into-a-hole", [](Run& run) {
                         const int file = run.open("cdsp");
                         ::munmap(run.memory(8192), 4096);
                         vdsp_invoke call{.handle = service,
                                          .sc = sc(2, 2),
                                          .args = reinterpret_cast<std::uint64_t>(run.memory(8192 - 24))};
                         run.ioctl(file, VDSP_INVOKE, call, "invoke");
                     }});
}

/// The vectors of KERNEL 7 and more of their kind; {offset, length}, inputs first.
void add_overlap_cases(Cases& cases) {
    struct Range {
        std::size_t at;
        std::size_t size;
    };
    struct Pattern {
        const char* name;
        unsigned in;
        std::vector<Range> ranges;
    };
    static const Pattern patterns[] = {
        {"three-two-overlap", 3, {{0, 100}, {10, 20}, {200, 30}}},
        {"chain-backwards", 3, {{120, 80}, {50, 100}, {0, 100}}},
        {"touching", 2, {{0, 100}, {100, 100}}},
        {"in-and-out", 1, {{0, 100}, {50, 100}}},
        {"out-before-in", 1, {{50, 100}, {0, 100}}},
        {"same-range", 1, {{0, 100}, {0, 100}}},
        {"same-start-longer-second", 2, {{0, 50}, {0, 100}}},
        {"same-start-shorter-second", 2, {{0, 100}, {0, 50}}},
        {"inside", 2, {{0, 300}, {100, 50}}},
        {"two-outs-same", 0, {{0, 64}, {0, 64}}},
        {"two-outs-overlap", 0, {{0, 64}, {32, 64}}},
        {"empty-inside", 2, {{0, 100}, {50, 0}}},
        {"empty-at-begin", 2, {{0, 0}, {0, 100}}},
        {"empty-at-begin-of-two", 3, {{0, 0}, {0, 100}, {50, 100}}},
        {"empty-at-end", 2, {{0, 100}, {100, 0}}},
        {"empty-between-touching", 3, {{0, 100}, {100, 0}, {100, 50}}},
        {"empty-where-two-overlap", 3, {{0, 100}, {70, 0}, {50, 100}}},
        {"empty-in-the-second-of-two", 3, {{0, 100}, {120, 0}, {50, 100}}},
        {"empty-in-a-gap", 3, {{0, 100}, {110, 0}, {120, 100}}},
        {"empty-out-inside-an-in", 1, {{0, 100}, {30, 0}, {60, 100}}},
        {"empty-in-inside-an-out", 1, {{30, 0}, {0, 100}, {60, 100}}},
        {"two-empty-at-one-place", 4, {{50, 0}, {0, 100}, {50, 0}, {20, 100}}},
        {"all-empty", 3, {{0, 0}, {0, 0}, {50, 0}}},
        {"empty-after-a-full-page", 2, {{0, 3584}, {4000, 0}}},
        {"empty-after-almost-a-page", 2, {{0, 3583}, {4000, 0}}},
        {"empties-after-a-page-and-a-byte", 4, {{0, 3457}, {3457, 0}, {4000, 0}, {5000, 0}}},
        {"across-pages", 2, {{4000, 200}, {4100, 5000}}},
        {"big-holds-many", 4, {{0, 9000}, {10, 10}, {5000, 10}, {8990, 10}}},
        {"gap-of-one", 2, {{0, 100}, {101, 100}}},
    };
    for (const Pattern& pattern : patterns)
        cases.push_back({print("invoke/overlap/%s", pattern.name), [&pattern](Run& run) {
                             const int file = run.open("cdsp");
                             run.input(0, 16384);
                             std::vector<vdsp_invoke_arg> arguments;
                             for (const Range& range : pattern.ranges)
                                 arguments.push_back(arg(run.memory(range.at), range.size));
                             const auto outputs = static_cast<unsigned>(arguments.size()) - pattern.in;
                             run.invoke(file, service, sc(2, pattern.in, outputs), arguments);
                             say_outputs(run, arguments, pattern.in, outputs);
                         }});
}

} // namespace

void add_invoke_shape_cases(Cases& cases) {
    add_count_cases(cases);
    add_size_cases(cases);
    add_pointer_cases(cases);
    add_overlap_cases(cases);
}

} // namespace fastrpc::conformance
