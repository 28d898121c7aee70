// Everything that KERNEL 1.17 warns a broker of, one by one, as it really is: plan, table and misc driver together,
// with a kernel that only writes down what it is told.
#include "daemon/device/buffer_map.hpp"
#include "daemon/device/guarded_area.hpp"
#include "daemon/device/misc.hpp"
#include "daemon/device/misc_abi.hpp"
#include "daemon/host/call_plan.hpp"
#include "fake_dsp.hpp"
#include "invoke_builder.hpp"
#include "tests/unit/device/fake_kernel.hpp"

#include <condition_variable>
#include <fstream>
#include <gtest/gtest.h>
#include <limits>
#include <set>
#include <string>
#include <thread>

using namespace fastrpc;
using namespace fastrpc::daemon;

namespace {

constexpr std::uint64_t page = 4096;
constexpr std::uint64_t huge = std::numeric_limits<std::uint64_t>::max();

struct Hazards : testing::Test {
    FakeKernel kernel;
    FakeHeap heap;
    std::unique_ptr<Device> device;
    MemoryBudget budget{64 * page};
    std::optional<BufferTable> buffers;
    ModuleTable modules;
    GuardedArea outputs{max_inline};
    std::optional<CallPlan> plan;
    std::uint32_t module = modules.reserve("file:///libtest_skel.so?x").value();
    std::vector<KernelArgument> told; ///< of the latest INVOKE
    std::uint64_t next_address = 0xD0000000;

    Hazards() {
        kernel.nodes["/dev/fastrpc-test"] = 0;
        static_cast<void>(kernel.let_settle("/dev/fastrpc-test", {}));
        device = make_misc(kernel, UniqueFd(kernel.open("/dev/fastrpc-test")), "/dev/fastrpc-test", {}, {});
        buffers.emplace(heap, *device, 8, budget);
        plan.emplace(*buffers, modules, outputs.bytes());
        modules.publish(module, 0x7000);
        kernel.answers[misc_abi::invoke] = [this](void* argument) {
            const auto& request = as<misc_abi::Invoke>(argument);
            const auto* arguments = reinterpret_cast<const KernelArgument*>(request.arguments);
            told.assign(arguments, arguments + Scalars{request.scalars}.arguments());
            return 0;
        };
        kernel.answers[misc_abi::mem_map] = [this](void* argument) {
            as<misc_abi::MemMap>(argument).address_out = next_address;
            return 0;
        };
        kernel.answers[misc_abi::mem_unmap] = [](void*) { return 0; };
    }
    ~Hazards() override { plan.reset(); }

    std::uint32_t add(std::uint64_t size = 2 * page) {
        UniqueFd share;
        return buffers->allocate(size, share).value().id;
    }
    InvokeBuilder invoke(unsigned in, unsigned out, unsigned in_handles = 0, unsigned out_handles = 0) const {
        return {module, Scalars::make(2, in, out, in_handles, out_handles)};
    }
    /// Takes the call to the driver if the plan lets it; the error else.
    Status call(const InvokeBuilder& builder) {
        std::vector<std::byte> payload = builder.payload();
        if (Status status = plan->prepare(payload); !status) return status;
        const CallResult result = device->invoke(plan->dsp_handle(), plan->scalars(), plan->arguments());
        plan->release();
        EXPECT_TRUE(result.ok()) << "the device refused what the plan let through: " << result.text();
        return {};
    }
    /// Start and end of the mapping that `address` lies in.
    static std::pair<std::uint64_t, std::uint64_t> mapping_of(std::uint64_t address) {
        std::ifstream maps("/proc/self/maps");
        for (std::string line; std::getline(maps, line);) {
            const std::uint64_t begin = std::stoull(line, nullptr, 16);
            const std::uint64_t end = std::stoull(line.substr(line.find('-') + 1), nullptr, 16);
            if (address >= begin && address < end) return {begin, end};
        }
        return {};
    }
};

/// A row: what a client tries. Nothing of it may reach the driver.
struct Attempt {
    const char* name;
    const char* hazard; ///< of KERNEL 1.17
    ErrorKind kind;
    std::function<Status(Hazards&)> tried;
};

const Attempt attempts[] = {
    {"an_argument_longer_than_its_buffer", "length above dma-buf size", ErrorKind::invalid,
     [](Hazards& h) { return h.call(h.invoke(1, 0).buffer(h.add(), 0, 2 * page + 1)); }},
    {"an_argument_that_ends_one_byte_too_late", "length above dma-buf size", ErrorKind::invalid,
     [](Hazards& h) { return h.call(h.invoke(0, 1).buffer(h.add(), page, page + 1)); }},
    {"a_handle_longer_than_its_buffer", "length above dma-buf size", ErrorKind::invalid,
     [](Hazards& h) { return h.call(h.invoke(0, 0, 1).buffer(h.add(), 0, 2 * page + 1)); }},
    {"a_claim_above_the_real_size", "length above dma-buf size", ErrorKind::invalid,
     [](Hazards& h) {
         const auto added = h.buffers->adopt(*h.heap.allocate(page), page + 1);
         return added ? Status() : Status(std::unexpected(added.error()));
     }},
    {"a_map_longer_than_its_buffer", "length above dma-buf size", ErrorKind::invalid,
     [](Hazards& h) {
         const auto mapped = h.buffers->map(h.add(), MapMode::fd, 2 * page + 1);
         return mapped ? Status() : Status(std::unexpected(mapped.error()));
     }},
    {"two_mapped_arguments_that_overlap", "overlap arithmetic", ErrorKind::invalid,
     [](Hazards& h) {
         const std::uint32_t id = h.add();
         return h.call(h.invoke(1, 1).buffer(id, 0, page + 1).buffer(id, page, 8));
     }},
    {"an_argument_inside_another", "overlap arithmetic", ErrorKind::invalid,
     [](Hazards& h) {
         const std::uint32_t id = h.add();
         return h.call(h.invoke(2, 0).buffer(id, 0, 2 * page).buffer(id, page, 8));
     }},
    {"an_inline_argument_with_an_offset", "never forward client addresses", ErrorKind::invalid,
     [](Hazards& h) {
         return h.call(h.invoke(0, 1).descriptor({0, 0, page, 8}));
     }},
    {"a_length_that_wraps", "ptr + length wrap-around", ErrorKind::invalid,
     [](Hazards& h) { return h.call(h.invoke(1, 0).buffer(h.add(), 8, huge - 7)); }},
    {"an_offset_that_wraps", "ptr + length wrap-around", ErrorKind::invalid,
     [](Hazards& h) { return h.call(h.invoke(1, 0).buffer(h.add(), huge, 2)); }},
    {"an_inline_length_that_wraps", "ptr + length wrap-around", ErrorKind::invalid,
     [](Hazards& h) { return h.call(h.invoke(0, 1).inline_output(huge - 6)); }},
    {"a_handle_that_wraps", "ptr + length wrap-around", ErrorKind::invalid,
     [](Hazards& h) { return h.call(h.invoke(0, 0, 1).buffer(h.add(), 0xFFFFFFFF, 2)); }},
    {"a_handle_offset_of_33_bits", "ptr + length wrap-around", ErrorKind::invalid,
     [](Hazards& h) { return h.call(h.invoke(0, 0, 1).buffer(h.add(), std::uint64_t{1} << 32, 0)); }},
    {"a_handle_length_of_33_bits", "ptr + length wrap-around", ErrorKind::invalid,
     [](Hazards& h) { return h.call(h.invoke(0, 0, 0, 1).buffer(h.add(), 0, (std::uint64_t{1} << 32) + 8)); }},
    {"attributes_in_the_reserved_field", "SECUREMAP attribute", ErrorKind::invalid,
     [](Hazards& h) {
         return h.call(h.invoke(1, 0).descriptor({h.add(), 1, 0, 8}));
     }},
    {"a_map_flag_beyond_the_safe_ones", "SECUREMAP attribute", ErrorKind::invalid,
     [](Hazards& h) {
         const auto mapped = h.buffers->map(h.add(), static_cast<MapMode>(1), 0);
         return mapped ? Status() : Status(std::unexpected(mapped.error()));
     }},
    {"a_handle_that_is_no_buffer", "fd 0 or -1 in a handle entry", ErrorKind::invalid,
     [](Hazards& h) { return h.call(h.invoke(0, 0, 1).buffer(0, 0, 0)); }},
    {"an_inline_handle", "fd 0 or -1 in a handle entry", ErrorKind::invalid,
     [](Hazards& h) { return h.call(h.invoke(0, 0, 0, 1).buffer(0, 0, 8)); }},
    {"minus_one_as_a_handle", "fd 0 or -1 in a handle entry", ErrorKind::not_found,
     [](Hazards& h) { return h.call(h.invoke(0, 0, 1).buffer(0xFFFFFFFF, 0, 8)); }},
    {"a_buffer_that_was_freed", "same fd number reused", ErrorKind::not_found,
     [](Hazards& h) {
         const std::uint32_t old = h.add();
         EXPECT_TRUE(h.buffers->free(old));
         h.add();
         return h.call(h.invoke(0, 0, 1).buffer(old, 0, 8));
     }},
    {"a_mapped_buffer_that_is_freed", "same fd number reused", ErrorKind::busy,
     [](Hazards& h) {
         const std::uint32_t id = h.add();
         EXPECT_TRUE(h.buffers->map(id, MapMode::fd, 0)->call.ok());
         Status freed = h.buffers->free(id);
         EXPECT_NE(freed.error().text.find("unmap it first"), std::string::npos) << freed.error().text;
         return freed;
     }},
    {"a_second_map", "two threads mapping/unmapping the same fd", ErrorKind::busy,
     [](Hazards& h) {
         const std::uint32_t id = h.add();
         EXPECT_TRUE(h.buffers->map(id, MapMode::fd, 0)->call.ok());
         const auto again = h.buffers->map(id, MapMode::fixed, 0);
         EXPECT_EQ(h.kernel.count(misc_abi::mem_map), 1);
         return again ? Status() : Status(std::unexpected(again.error()));
     }},
    {"an_unmap_at_address_0", "MEM_UNMAP with vaddr 0 (KERNEL 1.13)", ErrorKind::unsupported,
     [](Hazards& h) {
         h.next_address = 0;
         const std::uint32_t id = h.add();
         EXPECT_TRUE(h.buffers->map(id, MapMode::fd_nomap, 0)->call.ok());
         EXPECT_EQ(h.buffers->free(id).error().kind, ErrorKind::busy);
         const auto unmapped = h.buffers->unmap(id);
         EXPECT_EQ(h.kernel.count(misc_abi::mem_unmap), 0);
         return unmapped ? Status() : Status(std::unexpected(unmapped.error()));
     }},
    {"an_unmap_of_what_is_not_mapped", "two threads mapping/unmapping the same DSP address", ErrorKind::not_found,
     [](Hazards& h) {
         const auto unmapped = h.buffers->unmap(h.add());
         EXPECT_EQ(h.kernel.count(misc_abi::mem_unmap), 0);
         return unmapped ? Status() : Status(std::unexpected(unmapped.error()));
     }},
};

class Attempts : public Hazards, public testing::WithParamInterface<Attempt> {};

} // namespace

TEST_P(Attempts, never_reach_the_driver) {
    const Status status = GetParam().tried(*this);
    ASSERT_FALSE(status) << GetParam().hazard;
    EXPECT_EQ(status.error().kind, GetParam().kind) << status.error().text;
    EXPECT_EQ(kernel.count(misc_abi::invoke), 0) << GetParam().hazard;
}

INSTANTIATE_TEST_SUITE_P(Each, Attempts, testing::ValuesIn(attempts),
                         [](const auto& each) { return std::string(each.param.name); });

// "address given for a mapped argument not inside the mapping of that dma-buf, or mapped from a non-zero offset, or
// VMA split": the address is base + offset of one whole PROT_NONE mapping of its own.
TEST_F(Hazards, a_mapped_argument_lies_in_a_mapping_that_begins_with_its_buffer) {
    const std::uint32_t first = add();
    const std::uint32_t second = add(); // neighbours must not grow into one mapping
    ASSERT_TRUE(call(invoke(2, 0).buffer(first, page + 4, 100).buffer(second, 0, 8)));
    ASSERT_EQ(told.size(), 2U);
    const auto [begin, end] = mapping_of(told[0].address);
    EXPECT_EQ(told[0].address - begin, page + 4);
    EXPECT_EQ(end - begin, 2 * page);
    EXPECT_EQ(mapping_of(told[1].address).first, told[1].address);
    EXPECT_NE(told[0].fd, told[1].fd);
    for (const KernelArgument& argument : told) EXPECT_EQ(argument.attributes, 0U);
}

// "mixing mapped and inline arguments whose address ranges overlap": they lie in different memory.
TEST_F(Hazards, inline_and_mapped_arguments_never_meet) {
    ASSERT_TRUE(call(invoke(2, 1).inline_input(std::string(4096, 'x')).buffer(add(), 0, 2 * page).inline_output(4096)));
    ASSERT_EQ(told.size(), 3U);
    const auto [begin, end] = mapping_of(told[1].address);
    for (const std::size_t i : {0U, 2U}) {
        EXPECT_EQ(told[i].fd, -1);
        EXPECT_TRUE(told[i].address + told[i].length <= begin || told[i].address >= end);
    }
}

// "SECUREMAP", and KERNEL 1.11.5: the handle form, after all buffers.
TEST_F(Hazards, a_handle_goes_as_offset_length_and_number_with_no_attribute) {
    const std::uint32_t id = add();
    ASSERT_TRUE(call(invoke(1, 1, 1, 1)
                         .inline_input("in")
                         .buffer(id, page, page)
                         .buffer(id, 16, page) // it may overlap: it is no range
                         .buffer(id, 0, 0)));
    ASSERT_EQ(told.size(), 4U);
    EXPECT_EQ(told[2].address, 16U);
    EXPECT_EQ(told[2].length, page);
    EXPECT_EQ(told[2].fd, static_cast<std::int32_t>(device->buffer_number(id).value()));
    EXPECT_GT(told[2].fd, 0);
    EXPECT_EQ(told[2].attributes, 0U);
    EXPECT_EQ(told[3].address, 0U);
    EXPECT_EQ(told[3].fd, told[2].fd);
}

TEST_F(Hazards, all_540_arguments_reach_the_driver) {
    const std::uint32_t id = add();
    InvokeBuilder builder = invoke(255, 255, 15, 15);
    for (int i = 0; i < 510; ++i) builder.buffer(id, static_cast<std::uint64_t>(i) * 16, 16);
    for (int i = 0; i < 30; ++i) builder.buffer(id, 0, page);
    ASSERT_TRUE(call(builder));
    EXPECT_EQ(told.size(), max_arguments);
}

// "same fd number reused for another dma-buf while a mapping of the old one persists".
TEST_F(Hazards, a_buffer_number_never_comes_back) {
    std::set<std::int32_t> numbers;
    for (int i = 0; i < 20; ++i) {
        const std::uint32_t id = add();
        ASSERT_TRUE(call(invoke(0, 0, 1).buffer(id, 0, 8)));
        EXPECT_TRUE(numbers.insert(told[0].fd).second) << told[0].fd;
        ASSERT_TRUE(buffers->free(id));
    }
}

// KERNEL 1.11.5: a handle's mapping lives until the DSP names it or the file closes.
TEST_F(Hazards, what_was_a_handle_stays_charged_when_it_is_freed) {
    const std::uint32_t plain = add();
    const std::uint32_t lent = add();
    ASSERT_TRUE(call(invoke(1, 0).buffer(plain, 0, 8)));
    ASSERT_TRUE(call(invoke(0, 0, 1).buffer(lent, 0, 8)));
    ASSERT_TRUE(buffers->free(plain));
    EXPECT_EQ(budget.used(), 2 * page);
    ASSERT_TRUE(buffers->free(lent));
    EXPECT_EQ(budget.used(), 2 * page);
    EXPECT_EQ(buffers->count(), 0U);
    ASSERT_TRUE(buffers->free(add())); // the place of a lent one does not make the next one lent
    EXPECT_EQ(budget.used(), 2 * page);
}

TEST_F(Hazards, a_refused_call_lends_nothing) {
    const std::uint32_t id = add();
    EXPECT_FALSE(call(invoke(0, 0, 2).buffer(id, 0, 8).buffer(0, 0, 8)));
    ASSERT_TRUE(buffers->free(id));
    EXPECT_EQ(budget.used(), 0U);
}

// "two threads mapping/unmapping the same fd or DSP address": one at a time per file.
TEST_F(Hazards, maps_and_unmaps_of_many_threads_take_turns) {
    std::atomic<int> inside = 0;
    const auto alone = [&](void* argument) {
        EXPECT_EQ(++inside, 1);
        std::this_thread::sleep_for(std::chrono::microseconds(200));
        --inside;
        static_cast<void>(argument);
        return 0;
    };
    kernel.answers[misc_abi::mem_map] = [&](void* argument) {
        as<misc_abi::MemMap>(argument).address_out = 0xD0000000;
        return alone(argument);
    };
    kernel.answers[misc_abi::mem_unmap] = alone;
    const std::uint32_t ids[] = {add(), add()};
    std::vector<std::thread> threads;
    std::atomic<int> mapped = 0;
    for (int i = 0; i < 4; ++i)
        threads.emplace_back([&, i] {
            for (int turn = 0; turn < 25; ++turn) {
                const auto shared = buffers->map(ids[i % 2], MapMode::fd, 0);
                if (!shared) continue; // the other one has it
                ++mapped;
                EXPECT_TRUE(buffers->unmap(ids[i % 2])->ok());
            }
        });
    for (std::thread& thread : threads) thread.join();
    EXPECT_GT(mapped, 0);
    EXPECT_EQ(kernel.count(misc_abi::mem_map), mapped);
    EXPECT_EQ(kernel.count(misc_abi::mem_unmap), mapped);
}

TEST_F(Hazards, a_buffer_in_use_by_a_call_is_not_unmapped) {
    const std::uint32_t id = add();
    ASSERT_TRUE(buffers->map(id, MapMode::fd, page)->call.ok());
    std::vector<std::byte> payload = invoke(1, 0).buffer(id, 0, 8).payload();
    ASSERT_TRUE(plan->prepare(payload));
    const auto unmapped = buffers->unmap(id);
    ASSERT_FALSE(unmapped);
    EXPECT_EQ(unmapped.error().kind, ErrorKind::busy);
    EXPECT_EQ(kernel.count(misc_abi::mem_unmap), 0);
    plan->release();
    EXPECT_TRUE(buffers->unmap(id)->ok());
    EXPECT_TRUE(buffers->free(id));
}

TEST_F(Hazards, calls_on_a_buffer_that_is_being_unmapped_are_told_so) {
    const std::uint32_t id = add();
    ASSERT_TRUE(buffers->map(id, MapMode::fd, 0)->call.ok());
    kernel.answers[misc_abi::mem_unmap] = [&](void*) {
        const Status refused = call(invoke(1, 0).buffer(id, 0, 8));
        EXPECT_FALSE(refused);
        EXPECT_EQ(refused.error().kind, ErrorKind::busy);
        EXPECT_NE(refused.error().text.find("unmapped"), std::string::npos) << refused.error().text;
        EXPECT_EQ(buffers->free(id).error().kind, ErrorKind::busy);
        return EIO;
    };
    const auto failed = buffers->unmap(id);
    ASSERT_TRUE(failed);
    EXPECT_EQ(failed->os_error, EIO);
    EXPECT_TRUE(call(invoke(1, 0).buffer(id, 0, 8))); // it is as it was
    kernel.answers[misc_abi::mem_unmap] = [](void*) { return 0; };
    EXPECT_TRUE(buffers->unmap(id)->ok());
    EXPECT_TRUE(call(invoke(1, 0).buffer(id, 0, 8)));
}

// "DSP-writable pv/len re-read on completion": a copy beyond an output meets a guard page, never our memory.
TEST_F(Hazards, an_overlong_copy_of_the_kernel_meets_a_guard_page) {
    ASSERT_TRUE(call(invoke(0, 1).inline_output(max_inline)));
    ASSERT_EQ(told.size(), 1U);
    EXPECT_EQ(told[0].address, reinterpret_cast<std::uintptr_t>(outputs.bytes().data()));
    const auto [begin, end] = mapping_of(told[0].address);
    EXPECT_LE(end - told[0].address, std::uint64_t{128} << 10);
    std::ifstream maps("/proc/self/maps");
    bool guarded = false;
    for (std::string line; std::getline(maps, line);)
        guarded |= std::stoull(line, nullptr, 16) == end && line.find("---p") != std::string::npos;
    EXPECT_TRUE(guarded);
}
