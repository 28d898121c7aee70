// What user space and the DSP can tell kernel versions by (KERNEL 1.16, 2.6), one promise per row.
#include "driver_fixture.hpp"
#include "vdsp/driver/soc.hpp"

namespace fastrpc::vdsp {
namespace {

constexpr std::uint64_t a = 0x7f0000000000;

class Profile : public DriverTest {
protected:
    void use(const char* kernel, bool attach_check = false) {
        start({.domains = {
                   {.domain = Domain::cdsp, .slots = 3, .misc = find_profile(kernel), .attach_check = attach_check}}});
    }
    std::uint64_t page_of(const std::shared_ptr<OpenFile>& file, const UniqueFd& buffer, std::uint64_t pointer,
                          std::uint64_t vma) {
        const Argument argument{.pointer = pointer, .length = 8, .fd = 5, .file = &buffer, .vma = vma};
        EXPECT_EQ(invoke(file, 20, Scalars::make(2, 0, 1), {argument}).result, 0);
        std::uint64_t page = 0;
        std::memcpy(&page, dsp().received.back().payload.data() + 24, sizeof page);
        return page - dsp().machine.window(page & ~std::uint64_t{4095})->address;
    }
};

TEST_F(Profile, clients_are_numbered_by_process_or_by_slot) {
    for (const auto& [kernel, first, second] :
         {std::tuple("6.1", 4711, 4711), {"6.12", 4711, 4711}, {"6.18", 1, 2}, {"7.1", 1, 2}, {"qda-shim", 1, 2}}) {
        use(kernel);
        EXPECT_EQ(open("fastrpc-cdsp", {.pid = 4711})->client(), first) << kernel;
        const auto one = open("fastrpc-cdsp", {.pid = 4711});
        EXPECT_EQ(one->client(), second) << kernel; // the first one's slot is not free without a close
    }
}

TEST_F(Profile, labels_are_accepted_as_the_probe_does) {
    const auto soc = [](const std::string& name, const std::string& kernel) {
        return parse_soc(R"({"domains":[{"name":")" + name + R"(","kernel":")" + kernel + R"("}]})").has_value();
    };
    EXPECT_TRUE(soc("cdsp", "6.1"));
    EXPECT_FALSE(soc("cdsp1", "6.1"));
    EXPECT_TRUE(soc("cdsp1", "6.12"));
    EXPECT_FALSE(soc("gdsp0", "6.12"));
    EXPECT_TRUE(soc("gdsp0", "7.1"));
}

TEST_F(Profile, dsp_info_minds_the_domain_or_not) {
    const auto error = [&](const char* kernel, std::uint32_t domain, std::uint32_t id = 6) {
        use(kernel);
        const auto file = open("fastrpc-cdsp");
        return ioctl(file, VDSP_GET_DSP_INFO, vdsp_dsp_info{.domain = domain, .attribute_id = id}).error;
    };
    EXPECT_EQ(error("6.1", 3), 0);
    EXPECT_EQ(error("6.1", 4), ECHRNG);
    EXPECT_EQ(error("6.12", 4), 0);
    EXPECT_EQ(error("6.12", 5, 256), ECHRNG); // before the attribute
    EXPECT_EQ(error("6.12", 1), ECHRNG);
    EXPECT_EQ(error("7.1", 99), 0);
    EXPECT_EQ(error("7.1", 99, 256), EOVERFLOW);
}

TEST_F(Profile, old_dsp_info_lands_in_the_wrong_place) {
    use("6.1");
    const auto file = open("fastrpc-cdsp");
    dsp().handler = [](FakeDsp& self, const WireRequest& request) {
        if (request.handle != 2) return 0;
        EXPECT_EQ(self.arguments(request)[1].length, 1024U);
        self.put(first_byte(self.arguments(request)[1]) + 5 * 4, 0x73);
        return 0;
    };
    const auto info = ioctl(file, VDSP_GET_DSP_INFO, vdsp_dsp_info{.domain = 3, .attribute_id = 6}).as<vdsp_dsp_info>();
    EXPECT_EQ(info.domain, 0x73U);
    EXPECT_EQ(info.capability, 0U);
    EXPECT_EQ(invoke(file, 20, Scalars{0}).result, 0);
    EXPECT_EQ(dsp().received.back().request.context & 15U, 1U); // the file became one of a user PD
}

TEST_F(Profile, six_one_has_no_remote_heap) {
    use("6.1");
    const auto file = open("fastrpc-cdsp");
    EXPECT_EQ(ioctl(file, VDSP_INIT_CREATE_STATIC, vdsp_init_create_static{.namelen = 7}).error, ENOTTY);
    EXPECT_EQ(ioctl(file, VDSP_MMAP, vdsp_mmap{.flags = 8, .size = 4096}).error, EINVAL);
}

TEST_F(Profile, a_length_above_the_buffer_is_six_ones_to_accept) {
    for (const auto& [kernel, expected] : {std::pair("6.1", 0), {"6.12", EINVAL}}) {
        use(kernel);
        const UniqueFd buffer = heap(4096);
        const auto file = open("fastrpc-cdsp");
        EXPECT_EQ(ioctl(file, VDSP_MEM_MAP, vdsp_mem_map{.fd = 5, .length = 8192}, &buffer).error, expected);
        EXPECT_EQ(fatal(), expected == 0 ? 0U : 1U);
    }
}

TEST_F(Profile, mappings_are_known_by_number_or_by_buffer_too) {
    for (const auto& [kernel, same] : {std::pair("6.1", true), {"6.12", false}}) {
        use(kernel);
        const UniqueFd first = heap(4096);
        const UniqueFd second = heap(4096);
        const auto file = open("fastrpc-cdsp");
        std::vector<std::uint64_t> pages;
        dsp().handler = [&](FakeDsp& self, const WireRequest& request) {
            if (request.handle == 1) pages.push_back(self.get<std::uint64_t>(first_byte(self.arguments(request)[1])));
            return 0;
        };
        for (const UniqueFd* buffer : {&first, &second})
            EXPECT_EQ(ioctl(file, VDSP_MEM_MAP, vdsp_mem_map{.fd = 5, .length = 4096}, buffer).result, 0);
        EXPECT_EQ(pages[0] == pages[1], same) << kernel;
    }
}

TEST_F(Profile, a_pointer_in_a_hole_counts_from_the_next_mapping_or_not_at_all) {
    for (const auto& [kernel, offset] :
         {std::pair<const char*, std::int64_t>("6.18", -4096), {"6.12", 0}, {"7.1", 0}}) {
        use(kernel);
        const UniqueFd buffer = heap(16384);
        const auto file = open("fastrpc-cdsp");
        const std::uint64_t inside = page_of(file, buffer, a + 4096, a);
        EXPECT_EQ(inside, 4096U) << kernel;
        const Argument hole{.pointer = a - 4096, .length = 8, .fd = 5, .file = &buffer, .vma = a};
        std::uint64_t base = 0;
        std::memcpy(&base, dsp().received.back().payload.data() + 24, sizeof base);
        base -= 4096;
        EXPECT_EQ(invoke(file, 20, Scalars::make(2, 0, 1), {hole}).result, 0);
        std::uint64_t page = 0;
        std::memcpy(&page, dsp().received.back().payload.data() + 24, sizeof page);
        EXPECT_EQ(static_cast<std::int64_t>(page - base), offset) << kernel;
    }
}

TEST_F(Profile, six_one_counts_pages_from_inside_a_page) {
    use("6.1");
    const UniqueFd buffer = heap(16384);
    EXPECT_EQ(page_of(open("fastrpc-cdsp"), buffer, a + 4096 + 16, a), 4096U + 16);
    use("6.12");
    const UniqueFd other = heap(16384);
    EXPECT_EQ(page_of(open("fastrpc-cdsp"), other, a + 4096 + 16, a), 4096U);
}

TEST_F(Profile, an_abandoned_context_comes_back_at_close_and_answer_or_never) {
    for (const auto& [kernel, left] : {std::pair("6.18", 0), {"6.1", 0}, {"6.12", 1}, {"7.1", 1}}) {
        use(kernel);
        const auto file = open("fastrpc-cdsp");
        abandon_call(file);
        const std::uint64_t context = dsp().received.back().request.context;
        say(dsp(), 0);
        close(file);
        EXPECT_EQ(status()["contexts_used"], 1) << kernel; // closed, not answered
        dsp().answer(context, 0);
        EXPECT_EQ(status()["contexts_used"], left) << kernel;
    }
}

TEST_F(Profile, an_interrupted_call_takes_the_heaps_from_six_two_on) {
    for (const auto& [kernel, error] : {std::pair("6.1", 0), {"6.12", EINVAL}}) {
        use(kernel);
        const auto file = open("fastrpc-cdsp");
        EXPECT_EQ(ioctl(file, VDSP_MMAP, vdsp_mmap{.flags = 0x1000, .size = 4096}).result, 0);
        abandon_call(file);
        say(dsp(), 0);
        EXPECT_EQ(ioctl(file, VDSP_MUNMAP, vdsp_munmap{.vaddrout = 0, .size = 4096}).error, error) << kernel;
    }
}

TEST_F(Profile, the_context_word_and_the_sid_stand_where_the_kernel_puts_them) {
    start({.domains = {{.domain = Domain::cdsp, .slots = 3, .misc = find_profile("next"), .sid_position = 56}}});
    const auto file = open("fastrpc-cdsp");
    EXPECT_EQ(attach(file, VDSP_INIT_ATTACH_SNS).result, 0);
    EXPECT_EQ(dsp().received.back().request.context, 0x102U);
    EXPECT_EQ(dsp().received.back().request.address >> 56, 1U);
    EXPECT_FALSE(parse_soc(R"({"domains":[{"name":"cdsp","kernel":"6.12","sid_position":56}]})"));
}

TEST_F(Profile, the_attach_check_of_2024_minds_the_plain_node_alone) {
    use("6.12", true);
    EXPECT_EQ(attach(open("fastrpc-cdsp")).error, EACCES);
    EXPECT_EQ(ioctl(open("fastrpc-cdsp"), VDSP_INIT_CREATE_STATIC, vdsp_init_create_static{.namelen = 7}).error,
              EACCES);
    EXPECT_EQ(attach(open("fastrpc-cdsp-secure")).result, 0);
}

TEST_F(Profile, the_accel_drivers_shim_is_stricter) {
    use("qda-shim");
    const UniqueFd buffer = heap(4096);
    const auto file = open("fastrpc-cdsp-secure");
    // The fixture's callers are no known process: they have no capability.
    EXPECT_EQ(attach(file).error, EPERM);
    EXPECT_EQ(attach(file, VDSP_INIT_ATTACH_SNS).error, EPERM);
    EXPECT_EQ(ioctl(file, VDSP_INIT_CREATE_STATIC, vdsp_init_create_static{.namelen = 7}).error, EPERM);
    EXPECT_EQ(ioctl(file, VDSP_INIT_CREATE, vdsp_init_create{}).error, EPERM);
    EXPECT_EQ(ioctl(file, VDSP_INIT_CREATE, vdsp_init_create{.filelen = 9, .filefd = -1, .attrs = 8}).error, EINVAL);
    EXPECT_EQ(ioctl(file, VDSP_INIT_CREATE, vdsp_init_create{.attrs = 8}).result, 0);
    dsp().handler = [](FakeDsp& self, const WireRequest& request) {
        if (request.scalars == kernel_call::mem_map.word)
            self.put(first_byte(self.arguments(request)[3]), std::uint64_t{0xD0000000});
        return 0;
    };
    EXPECT_EQ(ioctl(file, VDSP_MEM_MAP, vdsp_mem_map{.fd = 5, .offset = -1, .length = 9}, &buffer).error, EINVAL);
    EXPECT_EQ(ioctl(file, VDSP_MEM_MAP, vdsp_mem_map{.fd = 5, .length = 9}, &buffer).result, 0);
    EXPECT_EQ(ioctl(file, VDSP_MEM_MAP, vdsp_mem_map{.fd = 5, .length = 9}, &buffer).error, EEXIST);
}

TEST_F(Profile, a_heap_that_cannot_be_told_is_undone_and_a_map_stays) {
    use("6.12");
    const UniqueFd buffer = heap(4096);
    const auto file = open("fastrpc-cdsp");
    EXPECT_EQ(ioctl(file, VDSP_MMAP, vdsp_mmap{.flags = 0x1000, .size = 4096}, nullptr, 0, vdsp_flag_unwritable).error,
              EFAULT);
    EXPECT_EQ(dsp().received.back().request.scalars, kernel_call::munmap.word);
    EXPECT_EQ(ioctl(file, VDSP_MEM_MAP, vdsp_mem_map{.fd = 5, .length = 9}, &buffer, 0, vdsp_flag_unwritable).error,
              EFAULT);
    EXPECT_EQ(dsp().received.back().request.scalars, kernel_call::mem_map.word);
    EXPECT_EQ(ioctl(file, VDSP_MEM_UNMAP, vdsp_mem_unmap{.fd = 5, .vaddr = 0}).result, 0);
    EXPECT_EQ(dsp().received.back().request.scalars, kernel_call::mem_unmap.word);
}

} // namespace
} // namespace fastrpc::vdsp
